"""Set up, launch, watch, compare and hand in CIFAR-10 training runs from a terminal."""

__version__ = "0.1.0"
