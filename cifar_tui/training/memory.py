"""Keeps freed memory in the process, so that every batch finds the last one's ready."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""glibc's names in malloc.h."""


def keep_freed_memory() -> None:
    """Stop glibc from handing freed memory back to the system; does nothing without glibc.

    A batch's activations are megabytes each, which glibc maps and unmaps every time; the kernel
    then clears their pages anew, a third of a step's time on a CPU (docs/performance.md). To be
    called before the threads that train are made, since they share one arena from then on.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, 1 << 30) or mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_ARENA_MAX, 1)
