"""One run on six pages: settings, events, files, and where its best net goes wrong."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static
from textual.worker import get_current_worker

from cifar_tui.drawing import beside
from cifar_tui.errors import Tick
from cifar_tui.features.inspect import tables as findings
from cifar_tui.features.inspect.core import SPLITS, Evaluation, SplitName, kept_evaluation
from cifar_tui.features.inspect.matrix import Cell, ConfusionMatrix, WorstImages
from cifar_tui.features.inspect.tables import (
    event_table,
    events_answer,
    file_table,
    files_answer,
    settings_answer,
    settings_lines,
)
from cifar_tui.runs.disk import contents
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, labelled
from cifar_tui.table import Table
from cifar_tui.text import at_epoch
from cifar_tui.tui.jobs import run_job
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine

PAGES = ("settings", "events", "files", "confusion", "classes", "worst images")
SETTINGS, EVENTS, FILES, CONFUSION, CLASSES, WORST = range(len(PAGES))
EVALUATED = (CONFUSION, CLASSES, WORST)
"""The pages that need the net's answers."""
NARROWEST = findings.CLASS_WIDTH + findings.RELIABILITY_WIDTH
"""Below, the tables of classes and calibration stand one under the other."""
WIDEST_BAR = 40
WIDE, WIDEST = 120, 180
"""Columns from which on one and two images of the cursor's cell stand beside the matrix."""
BODY = ("text", "rows", "findings", "matrix", "cell", "images")


class RunScreen(CifarScreen):
    """A line with the page's answer, and the page under it; Esc ends an evaluation too."""

    CSS_PATH = "run.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("run")
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide"), (WIDEST, "-widest")]  # noqa: RUF012 - as Textual has it
    AUTO_FOCUS = None

    def __init__(self, run: Run, mode: str = "history") -> None:
        super().__init__(id="run")
        self._run = run
        self._mode = mode
        self._page = SETTINGS
        self._cell: Cell | None = None
        """The cell of the matrix whose images are shown; None shows the worst of all."""
        self._split: SplitName = "val"
        self._found: dict[str, Evaluation | str] = {}
        """Each split's evaluation, or why there is none."""
        self._working = ""
        """The split that is being evaluated."""

    def compose(self) -> ComposeResult:
        yield TopLine(self._mode)
        with Horizontal(id="head"):
            yield Static(f" {labelled([self._run])[0]}", id="name", classes="line", markup=False)
            best = f"best val_acc {at_epoch(self._run.summary.best)} "
            yield Static(best, id="best", classes="line", markup=False)
        yield Static("", id="pages", classes="line")
        yield Static("", id="answer", classes="line", markup=False)
        with VerticalScroll(id="text"):
            yield Static("", id="lines", markup=False)
        yield RowTable(id="rows")
        with Horizontal():
            with Vertical(id="findings"):
                yield ConfusionMatrix(id="matrix")
                yield Static("", id="cell", markup=False)
            yield WorstImages(id="images")
        yield KeyLine()

    def on_mount(self) -> None:
        self._reveal()
        self._open()

    def on_resize(self) -> None:
        if not self.is_mounted:
            return
        if self._page in EVALUATED:
            self._show()
        else:
            self._read(self._page)

    # Pages

    def action_page(self, number: int) -> None:
        self._turn_to(number)

    def action_images(self) -> None:
        """Show the images of the matrix' cell, as far as they were kept."""
        self._turn_to(WORST, self.query_one(ConfusionMatrix).cursor)

    def _turn_to(self, page: int, cell: Cell | None = None) -> None:
        self._page, self._cell = page, cell
        self.set_class(page == CONFUSION, "-confusion")
        self._open()

    def action_page_next(self) -> None:
        self.action_page((self._page + 1) % len(PAGES))

    def action_page_before(self) -> None:
        self.action_page((self._page - 1) % len(PAGES))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only keys that do something on this page."""
        if action in ("shares", "images"):
            return self._page == CONFUSION
        if action in ("split", "redo"):
            return self._page in EVALUATED
        return True

    def _open(self) -> None:
        self.query_one("#pages", Static).update("".join(map(self._tab, range(len(PAGES)))))
        self.refresh_bindings()
        self.set_focus(None)
        if self._page in EVALUATED:
            self._begin()
        else:
            self._read(self._page)

    def _tab(self, page: int) -> str:
        name = PAGES[page].upper() if page == self._page else PAGES[page]
        return f" [@click=screen.page({page})][dim]{page + 1}[/dim] [b]{name}[/b][/]"

    # What the folder tells

    @work(thread=True, exclusive=True, group="read")
    def _read(self, page: int) -> None:
        worker, app, run = get_current_worker(), self.app, self._run
        if page == SETTINGS:
            lines = settings_lines(run)
            told = partial(self._take_lines, settings_answer(run), lines)
        elif page == EVENTS:
            table = event_table(run.path)
            told = partial(self._take_table, events_answer(table.rows), table)
        else:
            files = contents(run.path)
            told = partial(self._take_table, files_answer(files), file_table(files))
        if not worker.is_cancelled:
            app.call_from_thread(self._take, page, told)

    def _take(self, page: int, told: Callable[[], None]) -> None:
        """Show what was read, unless the page was turned meanwhile."""
        if page == self._page:
            told()

    def _take_lines(self, answer: str, lines: Sequence[str]) -> None:
        self.say("answer", f" {answer}")
        self._reveal("text")
        self.query_one("#lines", Static).update("\n".join(f" {line}" for line in lines))
        if not self.query_one("#text").has_focus:
            self.set_focus(self.query_one("#text"))

    def _take_table(self, answer: str, table: Table) -> None:
        self.say("answer", f" {answer}")
        self._reveal("rows")
        rows = self.query_one(RowTable)
        rows.show_table(table, [str(number) for number in range(len(table.rows))])
        self.set_focus(rows)

    def _reveal(self, *names: str) -> None:
        """Show these parts of the body, and no others."""
        for name in BODY:
            self.query_one(f"#{name}").display = name in names

    # What the net says

    def _evaluate(self, split: SplitName, redo: bool) -> None:
        def job(tick: Tick) -> Evaluation:
            found = None if redo else kept_evaluation(self._run, split)
            if found is None:
                from cifar_tui.features.inspect.compute import evaluation_of

                found = evaluation_of(self._run, split, redo=redo, tick=tick)
            return found

        def show(done: int, images: int) -> None:
            if self._page in EVALUATED:
                self.say("answer", f" {done:,} of {images:,} {split} images. Esc cancels.")

        take = partial(self._take_evaluation, split)
        run_job(self, job, take, take, show, words="The evaluation failed", group="evaluate")

    def _take_evaluation(self, split: SplitName, found: Evaluation | str) -> None:
        self._working = ""
        self._found[split] = found
        if self._page in EVALUATED:
            self._show()

    def _begin(self, *, redo: bool = False) -> None:
        """Show this split's evaluation; compute it first where it is not there."""
        if redo or not isinstance(self._found.get(self._split), Evaluation):
            self._found.pop(self._split, None)
            if self._working != self._split:
                self._working = self._split
                self._evaluate(self._split, redo)
        self._show()

    def action_redo(self) -> None:
        self._begin(redo=True)

    def action_split(self) -> None:
        self._split = SPLITS[(SPLITS.index(self._split) + 1) % len(SPLITS)]
        self._begin()

    def _show(self) -> None:
        """Show the evaluation on this page, or why there is none."""
        found = self._found.get(self._split)
        if isinstance(found, Evaluation):
            (self._show_confusion, self._show_classes, self._show_worst)[self._page - CONFUSION](
                found
            )
        elif found:
            self._reveal("findings", "cell")
            self.say("answer", f" {found}")
            other = RunFolder(self._run.path).best.exists()
            self.say("cell", f"\n {found}" + "\n\n s takes another split." * other)
        else:
            self._reveal()
            self.say("answer", f" Reading net and {self._split} images ...")

    def _show_confusion(self, found: Evaluation) -> None:
        beside = ("images",) if self.size.width >= WIDE else ()
        self._reveal("findings", "matrix", "cell", *beside)
        self.say("answer", f" {findings.confusion_answer(found, self.size.width - 2)}")
        self.query_one(ConfusionMatrix).show(found)

    @on(ConfusionMatrix.CursorMoved)
    def _explain_cell(self) -> None:
        found = self._found.get(self._split)
        if isinstance(found, Evaluation) and self._page == CONFUSION:
            cursor = self.query_one(ConfusionMatrix).cursor
            if self.query_one(WorstImages).display:
                self.query_one(WorstImages).show(found, cursor)
            words = findings.cell_words(found, *cursor)
            lines = ["", *words, "", findings.confused_line(found), found.remark()]
            self.say("cell", "\n".join(f" {line}" for line in lines))

    def _show_classes(self, found: Evaluation) -> None:
        width = self.size.width
        more = min(WIDEST_BAR, max(0, (width - NARROWEST) // 2))
        tables = (
            findings.class_lines(found, findings.CLASS_BAR + more),
            findings.reliability_lines(found, findings.RELIABILITY_BAR + more),
        )
        if width < NARROWEST:
            lines = [*tables[0], "", *tables[1]]
        else:
            lines = beside(tables, findings.CLASS_WIDTH + more)
        below = ["", findings.LEGEND, findings.headline(found), found.remark()]
        self._take_lines(findings.calibration_line(found), [*lines, *below])

    def _show_worst(self, found: Evaluation) -> None:
        self._reveal("images")
        self.query_one(WorstImages).show(found, self._cell)

    @on(WorstImages.Turned)
    def _count_images(self) -> None:
        found, images = self._found.get(self._split), self.query_one(WorstImages)
        if isinstance(found, Evaluation) and self._page == WORST:
            answer = _worst_answer(found, images.places, images.count, self._cell)
            self.say("answer", f" {answer}")

    def action_move(self, down: int, right: int) -> None:
        """Move the cursor in the matrix; turn to other images."""
        if self._page == CONFUSION:
            self.query_one(ConfusionMatrix).move(down, right)
        elif self._page == WORST and right:
            self.query_one(WorstImages).turn(right)

    def action_shares(self) -> None:
        self.query_one(ConfusionMatrix).toggle_shares()


def _worst_answer(found: Evaluation, places: range, count: int, cell: Cell | None) -> str:
    """Which of the worst images are shown, and how many are wrong at all."""
    wrong = f"{len(found.worst):,} of {found.images_text()} wrong"
    which = "worst"
    if cell is not None:
        true, said = (findings.names_of(found)[label] for label in cell)
        which = f"kept of true {true}, predicted {said}"
    if not places:
        return f"none {which}; {wrong}" if cell else wrong
    return f"{places.start + 1}-{places.stop} of the {count} {which}, surest first; {wrong}"
