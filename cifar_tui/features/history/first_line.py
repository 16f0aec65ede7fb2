"""The first line of History: how many runs, what they share, what is hidden, and the best."""

from collections.abc import Sequence
from dataclasses import dataclass

from cifar_tui.features.history.rows import DEMO, GroupRows, RunRows
from cifar_tui.query import telling
from cifar_tui.query.fields import Line
from cifar_tui.runs.listing import best_run
from cifar_tui.text import at_epoch, plain

LEAST = 8
"""Cells to which the name or the settings of the best run are cut at most."""


@dataclass(frozen=True)
class Listed:
    """What is listed, of how many runs, and what else there is to say of it."""

    lines: Sequence[Line]
    of: int
    rows: RunRows | GroupRows
    new: int = 0
    """Those launched since the filter was typed, which does not find them."""
    filter: str = ""
    problem: str = ""
    """What is wrong with the filter."""
    typing: bool = False
    """Whether the filter is being typed, and can be seen."""
    marked: int = 0
    opened: bool = False
    """Whether it is a group's runs."""
    trash: str = ""
    """What the runs take, where they are those in the trash."""
    whole: bool = True
    """Whether all runs were read."""

    def words(self) -> str:
        """All but the best run."""
        if not self.of:
            trash = "The trash is empty. Press t to see the runs."
            return trash if self.trash else "No runs yet. Press n to set one up."
        if not self.whole:
            return "Reading the runs; the newest are here."
        demo = f"{DEMO} " * (bool(self.lines) and all(line.run.synthetic for line in self.lines))
        count = f"{self.of} {demo}run{'s' if self.of != 1 else ''}"
        if self.filter:
            count = f"{len(self.lines) - self.new} of {count}"
        if self.problem:
            return f"{count}. {self.problem}"
        if self.filter and not self.lines and not self.typing:
            return f"None of {self.of} runs matches the filter '{self.filter}'; Esc clears it."
        if isinstance(self.rows, GroupRows):
            many = len(self.rows.keys)
            count = f"{many} group{'s' if many != 1 else ''} of {count}"
        parts = [count]
        if self.trash:
            parts = [f"Trash: {count}, {self.trash}", "z restores, X empties, t goes back"]
        if self.new:
            parts.append(f"{self.new} launched since")
        if self.opened:
            parts.append("Esc: groups")
        if self.marked:
            parts.append(f"{self.marked} marked")
        if self.filter and not self.typing:
            parts.append(f"filter '{self.filter}' (Esc clears)")
        return ", ".join(filter(None, [*parts, self.rows.order_words, telling.shared(self.lines)]))

    def best(self, room: int) -> str:
        """The best run's figure, and its name or settings in up to `room` cells; or nothing."""
        best = best_run([line.run for line in self.lines])
        crowded = self.problem or self.opened or self.trash
        if best is None or crowded or isinstance(self.rows, GroupRows):
            return ""
        line = next(line for line in self.lines if line.run is best)
        words = plain(line.given_name) or telling.words(line, self.rows.varying)
        if len(words) > room:
            words = f"{words[: room - 1]}…" if room >= LEAST else ""
        mixed = len({line.run.synthetic for line in self.lines}) > 1
        parts = ["best", at_epoch(best.summary.best), words, DEMO * (mixed and best.synthetic)]
        return " ".join(filter(None, parts))
