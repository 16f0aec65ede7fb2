"""Runs as files for other programs and for papers: a table, their curves, a figure of them."""

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.features.save.tables import curve_table, render, run_table, telling
from cifar_tui.files import at_home, check_output, write_output
from cifar_tui.query.fields import FIELDS
from cifar_tui.runs.events import EPOCH_METRICS, read_epochs
from cifar_tui.runs.ids import started_at
from cifar_tui.runs.listing import Run
from cifar_tui.spec.checks import format_value
from cifar_tui.spec.naming import brief
from cifar_tui.text import plain

TEXTS, PICTURE_FORMATS = ("csv", "json", "md"), ("png", "svg")
BOARD = "tensorboard"
KINDS: Mapping[str, tuple[str, ...]] = {
    "table": TEXTS,
    "curves": (*TEXTS, BOARD),
    "figure": PICTURE_FORMATS,
}
"""What can be saved, and in which formats, the usual one first."""
STEMS = {"table": "runs", "curves": "curves", "figure": "curves"}
SIZE_INCHES = (9.0, 3.4)
DOTS_PER_INCH = 150
METRICS = ("val_acc", "val_loss")
MOST_NAMED = 12
"""With more runs there is no legend: it would hide the curves."""
COLOURS = 10
STYLES = ("-", "--", ":", "-.")
"""Runs beyond matplotlib's ten colours are told apart by their lines."""
ENDINGS = {"finished": "STATUS_SUCCESS", "running": "STATUS_RUNNING"}
"""TensorBoard's word for what became of a run; all others are failures to it."""


@dataclass(frozen=True)
class Saved:
    """What was written, and its text where it is one."""

    what: str
    format: str
    path: Path
    runs: int
    synthetic: bool
    text: str | None = field(default=None, repr=False)
    rows: int | None = None
    images: tuple[str, ...] = ()
    """Which images the runs were on."""

    def to_dict(self) -> dict[str, Any]:
        told = {"what": self.what, "format": self.format, "output": str(self.path)}
        return (
            told
            | {"runs": self.runs, "rows": self.rows, "synthetic": self.synthetic}
            | {"images": list(self.images)}
        )

    def sentence(self) -> str:
        runs = f"{self.runs} run{'s' if self.runs != 1 else ''}"
        told = f"{self.what.capitalize()} of {runs} in {plain(str(self.path))}."
        if self.format == BOARD:
            told += f" `tensorboard --logdir {self.path}` shows them."
        if len(self.images) > 1:
            told += f" Its runs are on different images: {', '.join(self.images)}."
        return told + (" Some images were the demo set's (synthetic)." if self.synthetic else "")


def choose(what: str | None, format: str | None, output: Path | None) -> tuple[str, str]:
    """What to save and in which format, each from the other or from the file's name if not said.

    Raises UserError where they do not go together.
    """
    ending = output.suffix[1:].lower() if output else ""
    if format is None and any(ending in formats for formats in KINDS.values()):
        format = ending
    if what is None:
        what = next((w for w, formats in KINDS.items() if format in (None, *formats)), "table")
    format = format or KINDS[what][0]
    if format not in KINDS[what]:
        raise UserError(f"{what} cannot be saved as {format}; choose {' or '.join(KINDS[what])}.")
    return what, format


def default_path(what: str, format: str, synthetic: bool) -> Path:
    """A name in the working folder that says what it holds, and whether images were synthetic."""
    demo = "-demo" if synthetic else ""
    return Path(f"{BOARD}{demo}" if format == BOARD else f"{STEMS[what]}{demo}.{format}")


def save_runs(
    runs: Sequence[Run],
    what: str,
    format: str,
    output: Path | None = None,
    *,
    columns: Sequence[str] = (),
    overwrite: bool = False,
) -> Saved:
    """Write the runs, in this order, into a file, or event files into a folder; raises UserError.

    Nothing is written where something is in the way, unless `overwrite` says so.
    """
    synthetic = any(run.synthetic for run in runs)
    images = tuple(dict.fromkeys(run.summary.source for run in runs if run.summary.source))
    path = default_path(what, format, synthetic) if output is None else at_home(output)
    if format == BOARD:
        _save_events(runs, path, overwrite)
        return Saved(what, format, path, len(runs), synthetic, images=images)
    if path.is_dir():
        path /= default_path(what, format, synthetic)
    check_output(path, overwrite, str(default_path(what, format, synthetic)))
    if what == "figure":
        require_matplotlib()
        write_output(path, draw_runs(runs, format), overwrite=overwrite)
        return Saved(what, format, path, len(runs), synthetic, images=images)
    table = run_table(runs, columns) if what == "table" else curve_table(runs, columns)
    text = render(table, format)
    write_output(path, text.encode(), overwrite=overwrite)
    return Saved(what, format, path, len(runs), synthetic, text, len(table.rows), images)


def _save_events(runs: Sequence[Run], folder: Path, overwrite: bool) -> None:
    """One event file per run in `folder`/`run id`; checks them all before the first is written."""
    for module in ("plugins.hparams.metadata", "summary.writer.record_writer"):
        _require(f"tensorboard.{module}", "Event files need tensorboard", "tensorboard")
    files = [(run, folder / run.id / file_name(run)) for run in runs]
    try:
        for _, path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            check_output(path, overwrite, path.name)
    except OSError as error:
        raise UserError(f"Cannot make the folder {folder}: {error.strerror}.") from None
    for run, path in files:
        write_output(path, event_bytes(run), overwrite=overwrite)


def require_matplotlib() -> None:
    """Raise UserError saying how to get matplotlib where it is missing."""
    _require("matplotlib", "Figures need matplotlib", "report")


def _require(module: str, need: str, extra: str) -> None:
    try:
        import_module(module)
    except ImportError:
        raise UserError(
            f"{need}, which is not installed: `pip install 'cifar-tui[{extra}]'` gets it."
        ) from None


# A figure for a report: validation accuracy on the left, its loss on the right


def draw_figure(
    name: str,
    paint: Callable[..., None],
    files: Sequence[Any],
    *,
    synthetic: bool,
    plots: int = 2,
) -> None:
    """Save a figure of plots side by side, which `paint` fills, to each (file, format).

    The same figure gives the same bytes; one of synthetic images says so.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": name, "font.size": 9}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        paint(*figure.subplots(1, plots, squeeze=False)[0])
        if synthetic:
            figure.suptitle("synthetic demo images")
        for file, kind in files:
            when = {"Date": None} if kind == "svg" else None
            figure.savefig(file, format=kind, dpi=DOTS_PER_INCH, metadata=when)


def curve(axes: Any, label: str, epochs: Sequence[int], values: Sequence[Any], **style: Any) -> Any:
    """One line over epochs, a dot where there is but one; returns matplotlib's line."""
    marker = "o" if len(epochs) == 1 else ""
    (line,) = axes.plot(epochs, values, label=label, marker=marker, **style)
    return line


def finish(axes: Any, x: str, y: str) -> None:
    """Name the axes and give them the same grid and legend everywhere."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)


def draw_runs(runs: Sequence[Run], kind: str) -> bytes:
    """The figure as png or svg."""
    logs = [read_epochs(run.path) for run in runs]
    labels = titles(runs)

    def paint(*both: Any) -> None:
        for axes, metric in zip(both, METRICS, strict=True):
            for i, (label, log) in enumerate(zip(labels, logs, strict=True)):
                values = [_gap(getattr(epoch, metric)) for epoch in log]
                style = STYLES[i // COLOURS % len(STYLES)]
                curve(axes, label, [epoch.epoch for epoch in log], values, linestyle=style)
            finish(axes, "epoch", metric)

    file = io.BytesIO()
    synthetic = any(run.synthetic for run in runs)
    draw_figure("-".join(run.id for run in runs), paint, [(file, kind)], synthetic=synthetic)
    return file.getvalue()


def _gap(value: Any) -> float:
    return math.nan if value is None else value


def titles(runs: Sequence[Run]) -> list[str]:
    """What tells the runs apart in a legend: their names, else what differs, else their ids.

    Nothing where there are too many. Dollar signs are no formulas.
    """
    if len(runs) > MOST_NAMED:
        return [""] * len(runs)
    names = [run.name for run in runs]
    fields = telling(runs)
    settings = [
        brief({f.name: f.value(run) for f in fields if f.value(run) is not None}) for run in runs
    ]
    different = (texts for texts in (names, settings) if len(set(texts)) == len(runs))
    return [plain(text).replace("$", r"\$") for text in next(different, [run.id for run in runs])]


# A run as a TensorBoard event file: a scalar per metric and epoch, and its settings as hparams


def file_name(run: Run) -> str:
    """The event file's name, always the same for the same run."""
    return f"events.out.tfevents.{int(_start(run))}.cifar-tui"


def _start(run: Run) -> float:
    started = started_at(run.id)
    return started.timestamp() if started else 0.0


def event_bytes(run: Run) -> bytes:
    """The whole event file, each epoch with the time at which it ended."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    writer = RecordWriter(file)
    for event in _events(run):
        writer.write(event.SerializeToString())
    return file.getvalue()


def _events(run: Run) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    time = _start(run)
    yield Event(wall_time=time, file_version="brain.Event:2")
    yield Event(wall_time=time, summary=_settings(run, time))
    for epoch in read_epochs(run.path):
        time = time if epoch.time is None else epoch.time
        known = {n: value for n in EPOCH_METRICS if (value := getattr(epoch, n)) is not None}
        values = [Summary.Value(tag=name, simple_value=value) for name, value in known.items()]
        yield Event(wall_time=time, step=epoch.epoch, summary=Summary(value=values))
    yield Event(wall_time=time, summary=_end(run, time))


def _settings(run: Run, time: float) -> Any:
    """What the hparams table shows of the run, with its name and images."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    start = SessionStartInfo(start_time_secs=time, group_name=run.id)
    for name, known in FIELDS.items():
        value = known.value(run) if known.setting or name in ("name", "images") else None
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        elif value is not None:
            start.hparams[name].string_value = format_value(value)
    return _hparams("SESSION_START_INFO_TAG", HParamsPluginData(session_start_info=start))


def _end(run: Run, time: float) -> Any:
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = api_pb2.Status.Value(ENDINGS.get(run.status, "STATUS_FAILURE"))
    end = SessionEndInfo(status=status, end_time_secs=time)
    return _hparams("SESSION_END_INFO_TAG", HParamsPluginData(session_end_info=end))


def _hparams(tag: str, data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    value = Summary.Value(
        tag=getattr(metadata, tag),
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])
