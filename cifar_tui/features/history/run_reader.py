"""The runs of the app's folder, or those in its trash, read behind the screen again and again."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from textual import work
from textual.containers import Vertical

from cifar_tui.errors import UserError
from cifar_tui.query.fields import Line, make_line, same_lines
from cifar_tui.query.view import Memory, recall, usual_columns
from cifar_tui.runs.disk import size_of, size_text
from cifar_tui.runs.ids import TRASH
from cifar_tui.runs.listing import Run, Runs

if TYPE_CHECKING:
    from cifar_tui.app import CifarApp

READ_EVERY = 2.0
"""Seconds between two looks at the run folders while the screen is shown."""
REST = 4
"""The next look waits this many times as long as the last one took."""
FIRST = 100
"""Up to this many of the newest runs are shown while the others are read for the first time."""


class RunReader(Vertical):
    """Reads the runs in a thread; what is to be done with them follows in a subclass."""

    def __init__(self) -> None:
        super().__init__()
        self.trash: Runs | None = None
        """The trash while it is shown."""
        self.found: dict[str, Line] = {}
        """All runs that there are by id, oldest first."""
        self.problem = ""
        """Why they cannot be read."""
        self._whole: Runs | None = None
        """The runs that were found to the last one; before that only the newest are there."""
        self._sizes: dict[str, int] = {}
        """Bytes of each run in the trash."""
        self._recalled = False
        self._looking = False
        self._look_again = False
        self._rest_until = 0.0

    def take_memory(self, memory: Memory) -> None:
        """Show what was shown last time, before any run is there."""
        raise NotImplementedError

    def prepare(self, lines: Iterable[Line]) -> None:
        """Compute in the thread what `take_all` will ask of the runs."""
        raise NotImplementedError

    def take_first(self) -> None:
        """Show the newest runs while the others are read."""
        raise NotImplementedError

    def take_all(self, same: bool) -> None:
        """Show all runs, or what is wrong; `same` where nothing changed."""
        raise NotImplementedError

    @property
    def cifar(self) -> "CifarApp":
        return cast("CifarApp", self.app)

    @property
    def usual(self) -> tuple[str, ...]:
        """The columns until others are chosen."""
        return usual_columns(self.cifar.config)

    @property
    def whole(self) -> bool:
        """Whether all runs were read."""
        return self._whole is not None

    @property
    def trash_size(self) -> str:
        """What the runs in the trash take, while it is shown."""
        return size_text(sum(self._sizes.values()))

    def on_mount(self) -> None:
        self.set_interval(READ_EVERY, self._tick)

    def _tick(self) -> None:
        if self.screen.is_current and time.monotonic() >= self._rest_until:
            self.read_soon()

    def rest(self, seconds: float) -> None:
        """Leave the folders alone for a while, as reading ten thousand delays the keys."""
        self._rest_until = max(self._rest_until, time.monotonic() + seconds)

    def show_trash(self) -> None:
        """Show the trash, or the runs again."""
        self.trash = None if self.trash else Runs(self.cifar.runs.folder / TRASH)
        self.read_soon()

    def read_soon(self) -> None:
        """Read the folders in a thread, one reading at a time."""
        if self._looking:
            self._look_again = True
            return
        self._looking = True
        self._read()

    @work(thread=True)
    def _read(self) -> None:
        runs, before, problem = self.trash or self.cifar.runs, self.found, ""
        began = time.monotonic()
        if not self._recalled:
            self._recalled = True
            self.app.call_from_thread(self.take_memory, recall(self.cifar.runs.folder, self.usual))
        try:
            if not before and (first := runs.newest(FIRST)):
                self.app.call_from_thread(self._take_newest, runs, first)
            found = {run.id: make_line(run, before.get(run.id)) for run in runs.all()}
            self.prepare(found.values())
        except UserError as error:
            found, problem = {}, str(error)
        if runs is self.trash:
            self._sizes = {i: self._sizes.get(i) or size_of(runs.folder / i) for i in found}
        self.rest(REST * (time.monotonic() - began))
        self.app.call_from_thread(self._take, runs, found, problem)
        for line in found.values():
            line.searched  # noqa: B018 - so that the filter's first letter is quick

    def _take_newest(self, runs: Runs, first: list[Run]) -> None:
        if runs is (self.trash or self.cifar.runs) and not self.found:
            self.found = {run.id: Line(run) for run in first}
            self.take_first()

    def _take(self, runs: Runs, found: dict[str, Line], problem: str) -> None:
        self._looking = False
        if runs is (self.trash or self.cifar.runs):
            same = runs is self._whole and not problem and same_lines(found, self.found)
            self.found, self.problem = found, problem
            self._whole = None if problem else runs
            self.take_all(same)
        if self._look_again:
            self._look_again = False
            self.read_soon()
