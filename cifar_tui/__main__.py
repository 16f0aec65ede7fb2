"""`python -m cifar_tui` and the `cifar-tui` command."""

import contextlib
import gc
import io
import os
import signal
import sys

COMPLETE = "__complete"
"""What a completion script says before the words typed so far."""
OPTIONS = {"--runs", "--data", "--devices"}


def main() -> None:
    """Do what the command line says; what the system refuses is one sentence and exit code 2."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C amid imports ends it without a word
    prepare_streams()
    try:
        start()
    except Exception as error:
        from cifar_tui.errors import refusal
        from cifar_tui.terminal import let_go

        sentence = refusal(error)
        if sentence is None:
            raise
        with contextlib.suppress(OSError):
            print(f"cifar-tui: {sentence}", file=sys.stderr)
        let_go((1,))
        sys.exit(2)


def start() -> None:
    """Open the app where no command is given; else let the commands be parsed.

    The app needs little of what the commands import, and a person waits for its first screen.
    """
    arguments = sys.argv[1:]
    if arguments[:1] == [COMPLETE]:
        from cifar_tui.console.completion import means_a_run, print_run_words

        if means_a_run(arguments[1:]):
            return print_run_words(arguments[1:])
    if not gives_options_only(arguments):
        from cifar_tui.cli import main as run_command

        return run_command()
    from cifar_tui.terminal import Terminal

    terminal = Terminal()
    terminal.fork()
    gc.disable()  # until the first screen is there: nothing is garbage yet
    from pathlib import Path

    from cifar_tui.config import read_config
    from cifar_tui.errors import UserError
    from cifar_tui.queue.choices import Wish
    from cifar_tui.runs.ids import RUNS
    from cifar_tui.text import plain
    from cifar_tui.tui import keys

    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    try:
        config = read_config()
        keys.rebind(config.all_keys)
        from cifar_tui.start import open_app

        runs = given.get("--runs") or config.runs or RUNS
        data = given.get("--data") or config.data or "data"
        wish = Wish(devices=given.get("--devices", ""))
        open_app(Path(runs), data, wish=wish, terminal=terminal, config=config)
    except UserError as error:
        print(f"cifar-tui: {plain(str(error))}", file=sys.stderr)
        sys.exit(2)


def prepare_streams() -> None:
    """Let nothing that is printed end the program by itself.

    Standard descriptors that are closed lead nowhere, lest the next file that is opened takes
    their place; what the output's encoding lacks becomes a question mark.
    """
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(nowhere)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def gives_options_only(arguments: list[str]) -> bool:
    """Whether there is nothing but these options with their values, each at most once."""
    options, values = arguments[::2], arguments[1::2]
    return (
        len(options) == len(values) == len(set(options))
        and set(options) <= OPTIONS
        and not any(value.startswith("-") for value in values)
    )


def leave_out_working_folder() -> None:
    """Import nothing from the working folder, where a random.py may lie; `-m` puts it first.

    A source tree that is not installed goes last, and processes started from here find it, too.
    """
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if sys.flags.safe_path or sys.path.pop(0) != own:
        return
    sys.path.append(own)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([before, own] if before else [own])


if __name__ == "__main__":
    leave_out_working_folder()
    main()
