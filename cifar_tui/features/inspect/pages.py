"""What a run's folder tells, in lines and rows: settings and environment, events, files."""

from datetime import datetime
from pathlib import Path
from typing import Any

from cifar_tui.runs.disk import Content, size_text, total
from cifar_tui.runs.listing import Run, epochs_of, read_events, read_meta
from cifar_tui.spec.settings import SETTINGS, changed, format_value
from cifar_tui.text import accuracy, at_epoch, clock, loss, plain
from cifar_tui.tui.row_table import Texts

LONGEST = 200
"""Most characters of a text from an event."""


def settings_answer(run: Run) -> str:
    """What became of the run, and how many settings are its own."""
    summary = run.summary
    reason = f": {summary.reason}" if summary.reason else ""
    where = f" on {summary.device}" if summary.device else ""
    differ = len(changed(run.spec)) if run.spec else 0
    many = f"{differ} setting{'' if differ == 1 else 's'} changed (*)"
    return plain(f"{run.status}{reason}, {clock(summary.seconds)}{where}; {many}")


def settings_lines(run: Run) -> list[str]:
    """Name, figures, settings (those that differ from the defaults marked), environment, git."""
    summary, meta = run.summary, read_meta(run.path)
    lines = [f"id       {run.id}", f"best     val_acc {at_epoch(summary.best)}"]
    if run.problem:
        lines.append(f"problem  {run.problem}")
    if summary.initial_loss is not None:
        lines.append(f"loss     {loss(summary.initial_loss)} before training (ln 10 = 2.3026)")
    if summary.parameters:
        lines.append(f"weights  {summary.parameters:,} parameters")
    if run.edited:
        lines.append(f"edited   {run.edited}")
    if run.tags:
        lines.append(f"tags     {', '.join(run.tags)}")
    if run.notes.note:
        lines.append(f"note     {run.notes.note}")
    lines += ["", "settings (* differs from the default)"]
    values = run.spec.model_dump() if run.spec else {}
    for name, setting in SETTINGS.items():
        if name in values and setting.applies(values):
            star = "*" if values[name] != setting.default else " "
            lines.append(f"{star} {name:<15}{format_value(values[name])}")
    if meta:
        lines += ["", "made with", *_meta_lines(meta)]
    return [plain(line) for line in lines]


def _meta_lines(meta: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in meta.items():
        if isinstance(value, dict):
            value = "  ".join(f"{k} {v}" for k, v in value.items() if v)
        elif isinstance(value, list):
            value = " ".join(map(str, value))
        lines.append(f"  {name:<9}{value}")
    return lines


def event_rows(run: Path) -> list[Texts]:
    """What happened besides the epochs: when, after how long, what, at which epoch."""
    events = read_events(run)
    reached = {event["epoch"]: event.get("val_acc") for event in epochs_of(events)}
    began = next((t for event in events if (t := _time(event)) is not None), None)
    rows: list[Texts] = []
    for event in events:
        kind, epoch = event.get("event"), event.get("epoch")
        if kind != "epoch":
            now = _time(event)
            when = "-" if now is None else f"{datetime.fromtimestamp(now):%m-%d %H:%M:%S}"
            after = clock(None if now is None or began is None else now - began)
            known = type(epoch) is int
            text = _event_text(event, reached.get(epoch) if known else None)
            rows.append((when, after, _short(kind), str(epoch) if known else "", text))
    return rows


def _time(event: dict[str, Any]) -> float | None:
    """Its time of day; None where it has none that a clock could show."""
    time = event.get("time")
    shown = isinstance(time, int | float) and not isinstance(time, bool) and 0 <= time < 1e11
    return time if shown else None


def _short(value: Any) -> str:
    return plain(str(value))[:LONGEST]


def _event_text(event: dict[str, Any], val_acc: Any) -> str:
    match event.get("event"):
        case "start":
            begun = loss(event.get("initial_loss"))
            return f"{_short(event.get('epochs'))} epochs, loss {begun} before"
        case "resume":
            return "goes on after this epoch"
        case "checkpoint":
            kept = "best.pt, last.pt" if event.get("best") is True else "last.pt"
            return f"val_acc {accuracy(val_acc)}  {kept}"
        case "remark":
            return _short(event.get("text"))
        case "end":
            reason = event.get("reason")
            return _short(event.get("status")) + (f": {_short(reason)}" if reason else "")
        case _:
            return ""


def events_answer(rows: list[Texts]) -> str:
    """How often it began, and how many checkpoints were better than those before."""
    kinds = [row[2] for row in rows]
    began = kinds.count("start") + kinds.count("resume")
    better = [row[3] for row in rows if row[2] == "checkpoint" and "best.pt" in row[4]]
    last = f", {len(better)} better than all before, the last at epoch {better[-1]}"
    times = "once" if began == 1 else f"{began} times"
    checkpoints = kinds.count("checkpoint")
    return f"began {times}; {checkpoints} checkpoints{last if better else ''}"


def file_rows(files: list[Content]) -> list[Texts]:
    """Each file with its size, when it was written, and what it is there for."""
    return [
        (
            plain(file.name),
            size_text(file.size),
            f"{datetime.fromtimestamp(max(0.0, file.written)):%Y-%m-%d %H:%M}",
            file.purpose,
        )
        for file in files
    ]


def files_answer(files: list[Content]) -> str:
    """How much it takes, and what would be freed."""
    last = sum(file.size for file in files if file.name == "last.pt")
    freed = f"; without last.pt {size_text(last)} would be freed" if last else ""
    return f"{size_text(total(files))} in {len(files)} files{freed}"
