"""Runs as files for other programs and for papers: a table, their curves, or a figure of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.features.save.picture import FORMATS as PICTURES
from cifar_tui.features.save.picture import require_matplotlib
from cifar_tui.features.save.tables import curve_table, render, run_table
from cifar_tui.features.save.tensorboard import event_bytes, file_name, require_tensorboard
from cifar_tui.files import at_home, check_output, write_output
from cifar_tui.runs.listing import Run
from cifar_tui.text import plain

TEXTS = ("csv", "json", "md")
BOARD = "tensorboard"
KINDS: Mapping[str, tuple[str, ...]] = {
    "table": TEXTS,
    "curves": (*TEXTS, BOARD),
    "figure": PICTURES,
}
"""What can be saved, and in which formats, the usual one first."""
STEMS = {"table": "runs", "curves": "curves", "figure": "curves"}


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
        """The same for programs, without the text."""
        told = {"what": self.what, "format": self.format, "output": str(self.path)}
        return (
            told
            | {"runs": self.runs, "rows": self.rows, "synthetic": self.synthetic}
            | {"images": list(self.images)}
        )

    def sentence(self) -> str:
        """What was written and where, for people."""
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
        from cifar_tui.features.save.picture import draw_runs

        require_matplotlib()
        write_output(path, draw_runs(runs, format), overwrite=overwrite)
        return Saved(what, format, path, len(runs), synthetic, images=images)
    table = run_table(runs, columns) if what == "table" else curve_table(runs, columns)
    text = render(table, format)
    write_output(path, text.encode(), overwrite=overwrite)
    return Saved(what, format, path, len(runs), synthetic, text, len(table.rows), images)


def _save_events(runs: Sequence[Run], folder: Path, overwrite: bool) -> None:
    """One event file per run in `folder`/`run id`; checks them all before the first is written."""
    require_tensorboard()
    files = [(run, folder / run.id / file_name(run)) for run in runs]
    try:
        for _, path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            check_output(path, overwrite, path.name)
    except OSError as error:
        raise UserError(f"Cannot make the folder {folder}: {error.strerror}.") from None
    for run, path in files:
        write_output(path, event_bytes(run), overwrite=overwrite)
