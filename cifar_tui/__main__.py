"""`python -m cifar_tui` and the `cifar-tui` command."""

from cifar_tui.cli import main

if __name__ == "__main__":
    main()
