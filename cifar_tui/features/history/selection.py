"""What is chosen in History: the marked runs, else the cursor's, else its group's."""

from collections.abc import Sequence
from dataclasses import dataclass

from cifar_tui.query.fields import Line
from cifar_tui.query.groups import Group
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain

SIDE_BY_SIDE = 4
"""Most runs whose weights or loss surfaces are shown at a time."""


class Refusal(Exception):
    """What is said instead of an action that the selection does not fit; empty for nothing."""


@dataclass(frozen=True)
class Selection:
    """What a key acts on; each method raises Refusal where there is nothing that fits."""

    marked: list[Run]
    """In the order in which they were marked; none while the trash is shown."""
    run: Run | None
    """The run under the cursor."""
    group: Group | None
    """The group under the cursor."""
    lines: Sequence[Line]
    """All that the filter lets through."""
    in_trash: bool

    def one(self) -> Run:
        """The cursor's run."""
        if self.group is not None:
            raise Refusal("That is a group; Enter shows its runs.")
        if self.run is None:
            raise Refusal
        if self.in_trash:
            raise Refusal(f"{plain(self.run.name)} is in the trash; z restores it.")
        return self.run

    def some(self) -> list[Run]:
        """The marked runs, else the cursor's or its group's."""
        if self.marked or self.group is None:
            return self.marked or [self.one()]
        return list(self.group.runs)

    def two_or_more(self, purpose: str) -> list[Run]:
        """The marked runs; a single one with the cursor's, none a whole group's."""
        runs = self.marked
        if len(runs) < 2 and self.group is not None:
            runs = list(self.group.runs)
        elif len(runs) < 2 and (run := self.one()) not in runs:
            runs = [*runs, run]
        if len(runs) < 2:
            raise Refusal(f"Mark another run with Space {purpose}.")
        return runs

    def with_weights(self) -> list[Run]:
        """The marked runs, else the cursor's, where they fit side by side and have a best.pt."""
        runs = self.marked or [self.one()]
        if len(runs) > SIDE_BY_SIDE:
            raise Refusal(f"{len(runs)} runs are marked; up to {SIDE_BY_SIDE} fit side by side.")
        for run in runs:
            if not RunFolder(run.path).best.exists():
                raise Refusal(f"{plain(run.name)} has no best.pt: no epoch was finished.")
        return runs

    def marked_or_shown(self, least: int = 1) -> list[Run]:
        """The marked runs if there are at least that many, else all that are shown."""
        if self.in_trash:
            self.one()
        runs = self.marked if len(self.marked) >= least else [line.run for line in self.lines]
        if not runs:
            raise Refusal
        return runs
