"""What stands before a run in the list: whether it is marked, and whether it is pinned."""

from cifar_tui.runs.listing import Run

MARK, PIN, BOTH = "*", "p", "P"
MARK_WIDTH = 2
"""Cells of the column, the gap included."""


def mark_text(run: Run, marked: bool) -> str:
    """`*` for a mark, `p` for a pin, `P` for both."""
    if run.notes.pinned:
        return BOTH if marked else PIN
    return MARK if marked else ""
