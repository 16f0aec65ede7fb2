"""The form for a new run or grid, made from the declared settings."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Static
from textual.worker import Worker, get_current_worker

from cifar_tui.data.find import DEMO, find
from cifar_tui.errors import Tick, UserError
from cifar_tui.features.new_run.core import plan_words
from cifar_tui.features.new_run.dialog import (
    DownloadDialog,
    GridDialog,
    LayersScreen,
    PresetsDialog,
    SavePresetDialog,
    layer_table,
)
from cifar_tui.features.new_run.field import FormField
from cifar_tui.features.new_run.presets import Preset
from cifar_tui.queue.queue import Pace
from cifar_tui.spec.checks import GROUPS, SETTINGS, make_spec, settings_in
from cifar_tui.spec.grid import (
    alternatives,
    as_texts,
    grid_errors,
    grid_size,
    has_effect,
    has_repeats,
    make_grid,
)
from cifar_tui.spec.naming import title
from cifar_tui.spec.settings import RunSpec
from cifar_tui.text import clock, plain
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.jobs import run_job
from cifar_tui.tui.keys import EVERYWHERE, bindings, function_keys
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine, put

COLUMNS = (("Data", "Optimiser", "Schedule"), ("Model", "Training", "Record"))
ASK_ABOVE = 5
"""A grid of more runs is shown before it is launched."""
SHOWN_TITLES = 12
"""Runs of a grid beside the form."""
UNTITLED = ("Schedule",)
"""Groups whose first field says what they are: a title less, and all fits into 24 lines."""


class Images(NamedTuple):
    """Which images were found in a folder, or what is wrong with them."""

    where: str
    note: str = ""
    error: str = ""


class NewScreen(CifarScreen):
    """Every setting on one screen; Enter launches from any field."""

    CSS_PATH = "new.tcss"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("new"), *function_keys(EVERYWHERE)]

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[str, FormField] = {}
        self._checked: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._images = Images("")
        self._finding: Worker[None] | None = None
        self._launches = False
        """Whether Enter waits for what is known of the images."""
        self._summarised: tuple[str, ...] = ()
        self._layers = Static("", id="layer-table", markup=False)
        self._planned = Static("", id="planned", markup=False)
        self._timed: dict[str, str] = {}
        """The texts whose time is known or asked for."""
        self._about = ""
        """How long they take, in words."""
        self._before_reset: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        texts = as_texts(RunSpec(data=self.cifar.data))
        self._fields = {name: FormField(setting, texts[name]) for name, setting in SETTINGS.items()}
        yield TopLine("new")
        yield Static("", id="plan", classes="line", markup=False)
        yield Static("", id="images", classes="line muted", markup=False)
        with Horizontal(id="body"):
            with VerticalScroll(id="form", can_focus=False):
                with Horizontal(id="columns"):
                    for groups in COLUMNS:
                        with Vertical(classes="column"):
                            for group in groups:
                                if group not in UNTITLED:
                                    yield Static(group, classes="group")
                                for setting in settings_in(group):
                                    yield self._fields[setting.name]
                yield Static("", classes="message", markup=False)
            with VerticalScroll(id="side", can_focus=False):
                yield self._planned
                yield self._layers
        yield Static("", id="message", classes="message", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        assert {g for groups in COLUMNS for g in groups} == set(GROUPS)
        self._check()
        self._fields["model"].input.focus()
        self.set_interval(0.5, self._keep_up)

    def on_screen_resume(self) -> None:
        """Say anew what Enter does: by now something may be in training, or have ended."""
        if self._checked:
            self._timed = {}
            self._show_plan(self.texts())

    def fill(self, spec: RunSpec) -> None:
        """Put a spec's settings into the fields."""
        self._put(as_texts(spec))

    def _put(self, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            self._fields[name].text = text
        self._check()

    def texts(self) -> dict[str, str]:
        """What stands in the fields."""
        return {name: field.text for name, field in self._fields.items()}

    @on(Input.Changed)
    def _changed(self) -> None:
        self._launches = False
        if self.texts() != self._checked:
            self._check()

    def on_descendant_focus(self) -> None:
        """Show the help of the field in focus."""
        self._show_message()

    def _check(self) -> None:
        """Mark what is wrong and what has no effect, and say what Enter would do."""
        texts = self._checked = self.texts()
        self._errors = grid_errors(texts)
        note = self._images_note(texts["data"])
        self._check_device(texts)
        for field in self._fields.values():
            field.show_state(
                self._errors.get(field.setting.name, ""),
                applies=has_effect(field.setting, texts),
            )
        self.say("images", f" {note}")
        self._show_plan(texts)
        self._show_message()
        self._summarise()

    def _show_plan(self, texts: dict[str, str]) -> None:
        """Say on the first line what Enter does and how long that takes, or what is wrong."""
        if self._errors:
            labels = [self._fields[name].setting.label for name in self._errors if name]
            fix = ", ".join(labels)
            self.say(
                "plan", Text(f" Fix {fix} first" if fix else " This cannot be launched", "bold")
            )
            return
        size = grid_size(texts)
        verb = "queues" if self.cifar.worker.current else "launches"
        once = " (equal ones made once)" if has_repeats(texts) else ""
        words = (
            f" Enter {verb} {'1 run' if size == 1 else f'{size:,} runs'}{once}: {plan_words(texts)}"
        )
        wish = self.cifar.wish
        on = "" if wish.name == "thread" else f"on {wish.devices or wish.name} (F11)"
        about = f"about {self._about}" if self._about and self._timed == texts else ""
        right = "  ".join(filter(None, ["", about, on]))
        room = self.size.width - len(right) - 1
        plan = Text(words if len(words) <= room else f"{words[: room - 1]}…", "bold", no_wrap=True)
        plan.append(right, "dim not bold")
        self.say("plan", plan)

    def _images_note(self, where: str) -> str:
        """Which images a run would use; what is wrong with them counts as the field's error.

        They are looked for anew in a thread, as their folder may be slow to answer.
        """
        if where == DEMO:
            self._images = Images(where, find(where).note)
        else:
            self._finding = self._find_images(where)
        if self._images.where != where:
            return f"Looking for images in {plain(where)} ..."
        if self._images.error:
            self._errors.setdefault("data", self._images.error)
        return self._images.error or self._images.note

    @work(thread=True, exclusive=True, group="images")
    def _find_images(self, where: str) -> None:
        worker, app = get_current_worker(), self.app
        try:
            note = find(where).note
            found = Images(where, note.replace("`cifar-tui data download` gets", "F8 gets"))
        except UserError as error:
            found = Images(where, error=str(error))
        if not worker.is_cancelled:
            app.call_from_thread(self._take_images, found)

    def _take_images(self, found: Images) -> None:
        if found.where == self.texts()["data"] and found != self._images:
            self._images = found
            self._check()
            if self._launches:
                self.action_launch()

    def _check_device(self, texts: dict[str, str]) -> None:
        """Say which device or precision this machine does not have, where the run is to be here."""
        if self.cifar.wish.name != "thread" or not self.cifar.worker.ready.is_set():
            return
        from cifar_tui.training.device import check_precision, choose_device

        for device in alternatives("device", texts["device"]):
            for precision in alternatives("precision", texts["precision"]):
                name = "device"
                try:
                    spec = make_spec({"device": device, "precision": precision})
                    found = choose_device(spec)
                    name = "precision"
                    check_precision(spec, found)
                except UserError as error:
                    self._errors.setdefault(name, str(error))

    def _show_message(self) -> None:
        field = self._focused_field()
        name = field.setting.name if field else ""
        error = self._errors.get(name) or next(iter(self._errors.values()), "")
        if error:
            text = f"! {error}"
        elif field is not None:
            setting = field.setting
            grid = "" if setting.is_free else f"; {setting.several} makes a grid"
            more = "; Space changes it" if field.choices else grid
            text = f"{setting.help} ({setting.expected}{more})"
        else:
            text = "Tab or an arrow goes to a field; Esc leaves it."
        for widget in self.query(".message").results(Static):
            widget.set_class(bool(error), "error")
            put(widget, text)

    def _focused_field(self) -> FormField | None:
        focused = self.focused
        return focused.parent if focused and isinstance(focused.parent, FormField) else None

    def _keep_up(self) -> None:
        """Bring up to date what is read or computed in threads: the layers and the time."""
        if self.is_current:
            self._summarise()
            texts = self.texts()
            if self._timed != texts and not self._errors:
                self._timed = texts
                run_job(self, partial(self._look_ahead, texts), self._take_time, self._no_time)

    def _look_ahead(self, texts: dict[str, str], tick: Tick) -> tuple[str, list[str]]:
        """How long the runs take, in words, and what they are called."""
        specs = make_grid(texts)
        pace = Pace(self.cifar.runs.all())
        seconds = pace.seconds_in_all((spec, 0) for spec in specs)
        slots = min(self.cifar.worker.slots, len(specs))
        about = "" if seconds is None else clock(seconds / max(1, slots))
        return about, [title(spec) for spec in specs]

    def _take_time(self, found: tuple[str, list[str]]) -> None:
        self._about, titles = found
        many = len(titles)
        lines = [f"{many} runs", *titles[:SHOWN_TITLES]] if many > 1 else []
        lines += [f"... and {many - SHOWN_TITLES} more"] if many > SHOWN_TITLES else []
        put(self._planned, "\n".join([*lines, ""]) if lines else "")
        if not self._errors and self._timed == self.texts():
            self._show_plan(self._timed)

    def _no_time(self, sentence: str) -> None:
        self._about = ""

    def _summarise(self) -> None:
        """Bring the layer table up to date once torch is there."""
        if not (self.is_current and self.query_one("#side").display):
            return
        spec = self._first_spec() if self.cifar.worker.ready.is_set() else None
        if spec is None:
            return
        key = tuple(str(getattr(spec, setting.name)) for setting in settings_in("Model"))
        if key != self._summarised:
            self._summarised = key
            self._draw_layers(spec)

    @work(thread=True, exclusive=True, group="layers")
    def _draw_layers(self, spec: RunSpec) -> None:
        table = layer_table(spec)
        self.app.call_from_thread(self._layers.update, table)

    def _first_spec(self) -> RunSpec | None:
        """The first run of the grid, unless something is wrong."""
        firsts = {name: alternatives(name, text)[0] for name, text in self.texts().items()}
        try:
            return make_grid(firsts)[0]
        except UserError:
            return None

    @on(Input.Submitted)
    def action_launch(self) -> None:
        """Start the run or grid, or queue it; what is wrong is gone to first."""
        self._check()
        self._launches = self._images.where != self.texts()["data"]
        if self._launches and self._finding is not None:
            self.cifar.keys_wait_for(self._finding)
            return  # it is launched as soon as it is known which images there are
        if self._errors:
            wrong = next(iter(self._errors))
            if wrong in self._fields:
                self._fields[wrong].input.focus()
            self.app.bell()
        elif grid_size(texts := self.texts()) <= ASK_ABOVE:
            self._launch(texts, True)
        else:
            ask = partial(self._ask, texts)
            job = run_job(self, partial(self._look_ahead, texts), ask, self.notify, group="ask")
            self.cifar.keys_wait_for(job)

    def _ask(self, texts: dict[str, str], found: tuple[str, list[str]]) -> None:
        about, titles = found
        verb = "Queue" if self.cifar.worker.current else "Launch"
        self.app.push_screen(GridDialog(titles, verb, about), partial(self._launch, texts))

    def _launch(self, texts: dict[str, str], sure: bool | None) -> None:
        if sure:
            specs = (spec for texts in (texts,) for spec in make_grid(texts))  # made in a thread
            self.cifar.launcher.launch(specs, grid_size(texts))

    def action_layers(self) -> None:
        """Show the model layer by layer."""
        if (spec := self._first_spec()) is not None:
            self.app.push_screen(LayersScreen(spec))

    def action_reset(self) -> None:
        """Set every field to its default, or bring back what stood there before."""
        texts, defaults = self.texts(), as_texts(RunSpec(data=self.cifar.data))
        if texts != defaults:
            self._before_reset = texts
            self._put(defaults)
            self.notify("All fields are at their defaults; F9 again brings back what was there.")
        elif self._before_reset:
            self._put(self._before_reset)

    def action_presets(self) -> None:
        """Fill the form with a preset: the user's own, a run's settings, or those of a lab."""
        from cifar_tui.features.new_run.presets import presets

        def ask(found: list[Preset]) -> None:
            self.app.push_screen(PresetsDialog(found), self._fill_from)

        look = partial(run_job, self, lambda tick: presets(self.cifar.runs.all()))
        self.cifar.keys_wait_for(look(ask, self.notify, group="presets"))

    def _fill_from(self, preset: Preset | None) -> None:
        if preset is not None:
            try:
                spec = make_spec({"data": self.cifar.data, **preset.values})
            except UserError as error:
                self.cifar.complain(error)
                return
            self.fill(spec)

    def action_save_preset(self) -> None:
        """Write the settings as a preset."""
        spec = self._first_spec()
        if self._errors or spec is None or grid_size(self.texts()) > 1:
            self.notify("A preset holds one run's settings; set one right value in each field.")
        else:
            self.app.push_screen(SavePresetDialog(spec))

    def action_images(self) -> None:
        """Look at the images that the form names."""
        self.cifar.open("images", self.texts()["data"])

    def action_get_data(self) -> None:
        """Download the official images into the data folder, after asking."""
        where = self.texts()["data"]
        folder = "data" if where == "demo" else where

        def get(sure: bool | None) -> None:
            if sure:
                self.app.push_screen(DownloadDialog(folder), lambda done: self._check())

        question = f"Download CIFAR-10 (170 MB) into {plain(folder)}?"
        self.app.push_screen(Ask(question, yes="download"), get)
