"""Slices of the loss surfaces of one to four runs, kept with the runs or computed now."""

import time
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from cifar_tui.drawing import shows_colours
from cifar_tui.errors import Tick
from cifar_tui.features.surface.core import (
    Slice,
    Surface,
    kept_surface,
    shade_legend,
    slice_pictures,
    surface_table,
)
from cifar_tui.runs.listing import Run, labelled
from cifar_tui.text import accuracy, clock, plain
from cifar_tui.tui.jobs import run_job
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine


class SurfaceScreen(CifarScreen):
    """Pictures on one scale, each as soon as it is there; Esc ends the computation too."""

    CSS_PATH = "../../tui/nets.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("surface")

    def __init__(self, runs: Sequence[Run], wanted: Slice | None = None) -> None:
        super().__init__(id="surface")
        self._runs = list(runs)
        self._titles = labelled(runs)
        self._slice = wanted or Slice()
        self._surfaces: dict[str, Surface] = {}
        self._working = False

    def compose(self) -> ComposeResult:
        yield TopLine("history")
        yield Static(" Loss surface", id="head", classes="line", markup=False)
        yield Static("", id="pictures", markup=False)
        yield Static("", id="legend", classes="line", markup=False)
        yield Static("", id="figures", markup=False)
        yield Static("", id="progress", classes="line muted", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self._work(redo=False)

    def on_resize(self) -> None:
        """Draw to the new size, once the parts have theirs."""
        self.call_after_refresh(self._draw)

    def action_redo(self) -> None:
        if not self._working:
            self._surfaces.clear()
            self._work(redo=True)

    def _work(self, redo: bool) -> None:
        """Draw what is kept, and compute the rest; each as soon as it is there."""
        app, self._working = self.app, True
        name, first = "", 0.0

        def show(done: int, points: int) -> None:
            nonlocal first
            now = time.monotonic()
            first = first or now
            if done > 1:
                left = clock((now - first) / (done - 1) * (points - done))
                text = f" {name}: {done} of {points} points, {left} left. Esc cancels."
                self.say("progress", text)

        def job(tick: Tick) -> str:
            nonlocal name, first
            kept = {} if redo else {r.id: kept_surface(r, self._slice) for r in self._runs}
            for run in self._runs:
                found = kept.get(run.id)
                if found is None:
                    name, first = plain(run.name), 0.0
                    app.call_from_thread(
                        self.say, "progress", f" {name}: reading net and images ..."
                    )
                    from cifar_tui.features.surface.compute import surface_of

                    found = surface_of(run, self._slice, redo=redo, tick=tick)
                tick(0, 1)
                app.call_from_thread(self._take, run, found)
            return ""

        def end(problem: str) -> None:
            self._working = False
            self.say("progress", f" {problem}".rstrip())

        run_job(self, job, end, end, show, words="The surface failed")

    def _take(self, run: Run, surface: Surface) -> None:
        self._surfaces[run.id] = surface
        self._draw()

    def _draw(self) -> None:
        shown = [
            (title, self._surfaces[run.id])
            for title, run in zip(self._titles, self._runs, strict=True)
            if run.id in self._surfaces
        ]
        if not shown:
            return
        titles, surfaces = [title for title, _ in shown], [surface for _, surface in shown]
        self.say("head", f" {_headline(titles, surfaces)}")
        legend = shade_legend(surfaces, colours=self._colours)
        self.query_one("#legend", Static).update(Text.assemble(" ", legend))
        rows = surface_table(titles, surfaces).screen_lines(self.size.width - 1)
        self.query_one("#figures", Static).update("\n".join(f" {row}" for row in rows))
        self.call_after_refresh(self._draw_pictures, [f" {t}" for t in titles], surfaces)

    def _draw_pictures(self, titles: list[str], surfaces: list[Surface]) -> None:
        """Square pictures: a cell is twice as high as wide."""
        width, height = self.query_one("#pictures").size
        lines = max(1, height - 1)
        each = min(width // len(self._runs), 2 * lines + 1)
        lines = min(lines, max(1, each // 2))
        drawn = slice_pictures(titles, surfaces, each * len(surfaces), lines, colours=self._colours)
        self.query_one("#pictures", Static).update(Text("\n").join(drawn))

    @property
    def _colours(self) -> bool:
        return not self.app.no_color and shows_colours(self.app.console)


def _headline(titles: Sequence[str], surfaces: Sequence[Surface]) -> str:
    letters = [title.split()[0] for title in titles] if len(titles) > 1 else [""]
    shares = [f"{a} {accuracy(s.flat)}".strip() for a, s in zip(letters, surfaces, strict=True)]
    how = surfaces[0].slice
    return (
        f"share within 0.5 of the centre: {', '.join(shares)}   "
        f"radius {how.radius:g}, {how.images} images"
    )
