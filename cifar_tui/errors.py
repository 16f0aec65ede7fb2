"""What is said to the person at the keys in place of a traceback."""

import errno
from collections.abc import Callable

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EROFS)

Tick = Callable[[int, int], None]
"""Told how much of how much is done; raises what the work is to end with."""


class UserError(Exception):
    """One clear sentence: what is wrong, what was expected, what to do; commands exit with 2."""


def refusal(error: Exception) -> str | None:
    """What the system refused, in a sentence that says what would help; None for a bug.

    It is a disk, a closed output, memory, a thread, or a library that cannot be loaded.
    """
    text = " ".join(str(error).split())[:300]
    if isinstance(error, OSError) and error.errno is not None:
        if error.filename is not None:
            return f"Cannot use {error.filename}: {error.strerror}."
        if error.errno in UNWRITABLE:
            return f"Cannot write the output: {error.strerror}."
        return f"The system does not let cifar-tui go on: {error.strerror}."
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "There is not enough memory for this; free some, or raise its limit (ulimit -v)."
    if isinstance(error, ImportError) and (error.name or "").startswith("cifar_tui"):
        return None
    if isinstance(error, ImportError | OSError):
        return (
            f"A library cannot be loaded ({text}); free memory or raise its limit (ulimit -v), "
            "or install cifar-tui again."
        )
    if isinstance(error, RuntimeError) and "can't start new thread" in text:
        return (
            "The system gives no more threads; end other programs, or raise their number (ulimit "
            "-u) or the memory's limit (ulimit -v)."
        )
    return None
