"""The form for a new run or grid, made from the declared settings."""

from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Static
from textual.worker import Worker, get_current_worker

from cifar_tui.data.find import DEMO, find
from cifar_tui.errors import UserError
from cifar_tui.features.new_run.dialog import LayersScreen, layer_table
from cifar_tui.features.new_run.field import FormField
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
from cifar_tui.spec.naming import model_name
from cifar_tui.spec.settings import RunSpec
from cifar_tui.text import plain
from cifar_tui.tui.dialogs import Ask
from cifar_tui.tui.keys import EVERYWHERE, bindings, function_keys
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine

COLUMNS = (("Data", "Optimiser", "Schedule"), ("Model", "Training", "Record"))
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

    def compose(self) -> ComposeResult:
        texts = as_texts(RunSpec(data=self.cifar.data))
        self._fields = {name: FormField(setting, texts[name]) for name, setting in SETTINGS.items()}
        yield TopLine("new")
        yield Static("", id="plan", classes="line", markup=False)
        yield Static("", id="images", classes="line muted", markup=False)
        with Horizontal(id="body"):
            with VerticalScroll(id="form", can_focus=False), Horizontal(id="columns"):
                for groups in COLUMNS:
                    with Vertical(classes="column"):
                        for group in groups:
                            if group not in UNTITLED:
                                yield Static(group, classes="group")
                            for setting in settings_in(group):
                                yield self._fields[setting.name]
            with VerticalScroll(id="side", can_focus=False):
                yield self._layers
        yield Static("", id="message", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        assert {g for groups in COLUMNS for g in groups} == set(GROUPS)
        self._check()
        self._fields["model"].input.focus()
        self.set_interval(0.5, self._summarise)

    def on_screen_resume(self) -> None:
        """Say anew what Enter does: by now something may be in training."""
        if self._checked:
            self._show_plan(self.texts())

    def fill(self, spec: RunSpec) -> None:
        """Put a spec's settings into the fields."""
        for name, text in as_texts(spec).items():
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
        if self._errors:
            wrong = len(self._errors)
            text = f" {wrong} {'fields need' if wrong > 1 else 'thing needs'} mending first"
        else:
            size = grid_size(texts)
            what = "1 run" if size == 1 else f"grid of {size} runs"
            verb = "queues" if self.cifar.worker.current else "launches"
            once = " (equal ones made once)" if has_repeats(texts) else ""
            text = f" Enter {verb} {what}{once}: "
            text += f"{model_name(texts)}, {texts['epochs']} epochs, lr {texts['lr']}"
        plan = Text(text, "bold", no_wrap=True)
        wish = self.cifar.wish
        elsewhere = f"on {wish.devices or wish.name} (F11)"
        hint = "0.1, 0.01 in a field makes a grid" if wish.name == "thread" else elsewhere
        plan.append(f"   {hint}", "dim not bold")
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
        widget = self.query_one("#message", Static)
        widget.set_class(bool(error), "error")
        if error:
            widget.update(Text(f" ! {error}"))
        elif field is not None:
            setting = field.setting
            choose = "; Space changes it" if field.choices else ""
            widget.update(Text(f" {setting.help} ({setting.expected}{choose})"))
        else:
            widget.update(Text(" Tab or an arrow goes to a field; Esc leaves it."))

    def _focused_field(self) -> FormField | None:
        focused = self.focused
        return focused.parent if focused and isinstance(focused.parent, FormField) else None

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
        else:
            texts = self.texts()  # a large grid takes longer to make than a key may
            specs = (spec for texts in (texts,) for spec in make_grid(texts))
            self.cifar.launcher.launch(specs, grid_size(texts))

    def action_layers(self) -> None:
        """Show the model layer by layer."""
        spec = self._first_spec()
        if spec is not None:
            self.app.push_screen(LayersScreen(spec))

    def action_reset(self) -> None:
        """Set every field to its default."""
        self.fill(RunSpec(data=self.cifar.data))

    def action_get_data(self) -> None:
        """Download the official images into the data folder, after asking."""
        from cifar_tui.features.new_run.dialog import DownloadDialog

        where = self.texts()["data"]
        folder = "data" if where == "demo" else where

        def get(sure: bool | None) -> None:
            if sure:
                self.app.push_screen(DownloadDialog(folder), lambda done: self._check())

        question = f"Download CIFAR-10 (170 MB) into {plain(folder)}?"
        self.app.push_screen(Ask(question, yes="download"), get)
