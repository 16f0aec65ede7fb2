"""Numbers, dates and lengths of time as text, and read back as people type them."""

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cifar_tui.runs.events import EpochDone
    from cifar_tui.runs.record import Point


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) else None


SIGNS = {
    "queued": "·",
    "running": ">",
    "paused": "=",
    "finished": "✓",
    "stopped": "-",
    "diverged": "!",
    "failed": "✗",
    "crashed": "✗",
}
"""What stands before a run's status, so that it is seen without colour; others have a `?`."""
TONES = {
    "running": "primary",
    "paused": "warning",
    "finished": "success",
    "stopped": "warning",
    "diverged": "error",
    "failed": "error",
    "crashed": "error",
    "stale": "warning",
    "unreadable": "error",
}
"""The theme's colour of a run's status; the others have the usual one."""


def status_text(status: str) -> str:
    """A run's status behind its sign: `✓ finished`."""
    return f"{SIGNS.get(status, '?')} {status}"


def tone_of(text: str) -> str:
    """The theme's colour of a text that `status_text` began; empty for the usual one."""
    return TONES.get(text[2:].split(maxsplit=1)[0].rstrip(":") if text[2:] else "", "")


def accuracy(value: Any) -> str:
    """A fraction with four digits, as the assignment's report has it."""
    return loss(value)


def loss(value: Any) -> str:
    """A loss with four digits."""
    number = _number(value)
    if number is None:
        return "-"
    return f"{number:.4f}" if abs(number) < 1e4 else f"{number:.2e}"


def runs_text(count: int) -> str:
    """`1 run` or `3 runs`."""
    return f"{count} run{'' if count == 1 else 's'}"


def at_epoch(point: "Point | None") -> str:
    """`0.7182 @ 11`: an accuracy and its epoch."""
    return "-" if point is None else f"{accuracy(point.val_acc)} @ {point.epoch}"


def clock(seconds: Any) -> str:
    """Seconds as h:mm:ss."""
    number = _number(seconds)
    if number is None or not 0 <= number < 1e9:
        return "-:--:--"
    whole = int(number + 0.5)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def learning_rate(value: Any) -> str:
    """A learning rate with four digits: `0.01`, `0.009973`, `1e-05`."""
    number = _number(value)
    return "-" if number is None else f"{number:.4g}"


def rate(images_per_second: Any) -> str:
    """Images per second in three significant places: `950`, `18.2k`."""
    number = _number(images_per_second)
    if number is None or not 0 <= number < 1e9:
        return "-"
    return f"{number:.0f}" if number < 1000 else f"{number / 1000:.1f}k"


def age(then: datetime | None, now: datetime) -> str:
    """Time since `then` in one unit: `42s`, `7m`, `3h`, `12d`."""
    if then is None:
        return "-"
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def plain(text: str) -> str:
    """Text with terminal escapes and other control characters shown, not obeyed."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shortened(text: str, cells: int = 44) -> str:
    """Text on one line of up to `length` characters, with its end cut off where it is longer."""
    shown = plain(text)
    return shown if len(shown) <= cells else shown[: cells - 1] + "…"


EPOCH_COLUMNS = (
    "epoch",
    "lr",
    "train_loss",
    "train_acc",
    "val_loss",
    "val_acc",
    "img/s",
    "s",
)


EPOCH_WIDTHS = (6, 10, 11, 10, 9, 8, 7, 6)
"""Cells of each of them; the mark of the best epoch stands behind."""


def epoch_row(cells: Sequence[str]) -> str:
    """A row of the table of epochs, or its head, on one line."""
    return "".join(f"{cell:>{width}}" for cell, width in zip(cells, EPOCH_WIDTHS, strict=True))


def epoch_cells(epoch: "EpochDone") -> list[str]:
    """One epoch as a row of fixed precision."""
    seconds = (epoch.train_seconds or 0) + (epoch.val_seconds or 0)
    return [
        str(epoch.epoch),
        learning_rate(epoch.lr),
        loss(epoch.train_loss),
        accuracy(epoch.train_acc),
        loss(epoch.val_loss),
        accuracy(epoch.val_acc),
        rate(epoch.images_per_second),
        f"{seconds:.1f}",
    ]


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2})(?::(\d{2}))?)?)?)?")


def duration(text: str) -> float | None:
    """Seconds of `90`, `5m`, `1h30m`, `2d`, `1w` or `1:30:00`; None for anything else."""
    if re.fullmatch(r"\d+(:[0-5]\d){1,2}", text):
        seconds = 0
        for part in text.split(":"):
            seconds = 60 * seconds + int(part)
        return float(seconds)
    if re.fullmatch(r"(\d+(\.\d*)?[smhdw])+", text):
        parts = re.findall(r"([\d.]+)([smhdw])", text)
        return sum(float(number) * UNITS[unit] for number, unit in parts)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def span(text: str, now: datetime) -> tuple[datetime, datetime] | None:
    """First moment of the day, month, year, hour or minute that is named, and of the next one."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"today": 0, "yesterday": 1}.get(text.casefold())
    if days is not None:
        return today - timedelta(days), today - timedelta(days - 1)
    match = DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute = (
        None if part is None else int(part) for part in match.groups()
    )
    try:
        start = datetime(year or 1, month or 1, day or 1, hour or 0, minute or 0)
        if month is None:
            return start, start.replace(year=start.year + 1)
        if day is None:
            return start, (start + timedelta(31)).replace(day=1)
        step = timedelta(minutes=1) if minute is not None else timedelta(hours=1)
        return start, start + (timedelta(1) if hour is None else step)
    except (ValueError, OverflowError):
        return None
