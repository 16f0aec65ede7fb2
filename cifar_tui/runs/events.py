"""The events of a run: each kind is declared here, and written to and read from events.jsonl."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from cifar_tui.files import LineReader, dump_json, finite
from cifar_tui.runs.record import Point

LARGEST_FIGURE = 1e39
"""Just above the largest number that fp32 holds."""


@dataclass(frozen=True)
class Started:
    """A run begins, with its loss before training beside that of chance."""

    epochs: int | None
    parameters: int | None
    initial_loss: float | None
    chance_loss: float | None
    id: str = ""
    time: float | None = None


@dataclass(frozen=True)
class Resumed:
    """A run goes on after an epoch, of which its checkpoint is."""

    epoch: int | None
    best: Point | None
    time: float | None = None


@dataclass(frozen=True)
class EpochDone:
    """An epoch's metrics: accuracies as fractions from 0 to 1, speed in training images a second.

    What is unknown, or not finite once it is written, is None.
    """

    epoch: int
    lr: float | None
    train_loss: float | None
    train_acc: float | None
    val_loss: float | None
    val_acc: float | None
    train_seconds: float | None
    val_seconds: float | None
    images_per_second: float | None
    time: float | None = None
    not_finite: tuple[str, ...] = ()

    @property
    def point(self) -> Point:
        """What a summary keeps of it."""
        return Point.model_validate(finite({n: getattr(self, n) for n in Point.model_fields}))


@dataclass(frozen=True)
class CheckpointSaved:
    """The state after an epoch was kept; with `best`, also as that of the best so far."""

    epoch: int | None
    best: bool
    time: float | None = None


@dataclass(frozen=True)
class Remark:
    """What a reader should know, as that a slower way was taken."""

    text: str
    time: float | None = None


@dataclass(frozen=True)
class Ended:
    """A run ended; `summary` is what its summary.json then holds."""

    status: str
    reason: str
    traceback: str = ""
    summary: dict[str, Any] | None = None
    time: float | None = None


RunEvent = Started | Resumed | EpochDone | CheckpointSaved | Remark | Ended
KINDS: dict[str, type[RunEvent]] = {
    "start": Started,
    "resume": Resumed,
    "epoch": EpochDone,
    "checkpoint": CheckpointSaved,
    "remark": Remark,
    "end": Ended,
}
WORDS = {kind: word for word, kind in KINDS.items()}
EPOCH_METRICS = tuple(f.name for f in fields(EpochDone) if f.default is MISSING)[1:]
"""What an epoch's event holds besides its number."""


def to_json(event: RunEvent) -> dict[str, Any]:
    """The event as it stands in the file, but for numbers that are not finite."""
    values = {
        field.name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for field in fields(event)
        if (value := getattr(event, field.name)) != field.default
    }
    return {"event": WORDS[type(event)], **values}


def to_line(event: RunEvent) -> bytes:
    """The event as a line of the file."""
    return dump_json(finite(to_json(event)))


def from_json(values: Mapping[str, Any]) -> RunEvent | None:
    """The event that these values tell, None where they tell none; wrong values become None."""
    word = values.get("event")
    kind = KINDS.get(word) if isinstance(word, str) else None
    if kind is None or (kind is EpochDone and not _count(values.get("epoch"))):
        return None
    return kind(**{field.name: READ[field.type](values.get(field.name)) for field in fields(kind)})


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) and abs(value) < LARGEST_FIGURE else None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _point(value: Any) -> Point | None:
    try:
        return None if value is None else Point.model_validate(value)
    except ValidationError:
        return None


READ: dict[Any, Callable[[Any], Any]] = {
    int: _count,
    int | None: _count,
    float | None: _number,
    str: _text,
    bool: lambda value: value is True,
    tuple[str, ...]: _texts,
    Point | None: _point,
    dict[str, Any] | None: lambda value: value if isinstance(value, dict) else None,
}


def read_new(lines: LineReader) -> Iterator[RunEvent]:
    """The events on the lines that were completed since the last look; others are passed over."""
    return (event for values in lines if (event := from_json(values)) is not None)


def read_events(run: Path) -> list[RunEvent]:
    """All events in order, with epochs trained again after a resume."""
    return list(read_new(LineReader(run / "events.jsonl")))


def read_epochs(run: Path) -> list[EpochDone]:
    """The epochs of the run as it stands, in order, as `epochs_of` has them."""
    return epochs_of(read_new(LineReader(run / "events.jsonl")))


def point_at(run: Path, epoch: int) -> Point | None:
    """The metrics of an epoch of the run as it stands; None where they are not known."""
    return next((done.point for done in read_epochs(run) if done.epoch == epoch), None)


def epochs_of(events: Iterable[RunEvent], before: Iterable[EpochDone] = ()) -> list[EpochDone]:
    """The epochs that count, each once, in order; `before` are those known so far.

    A run that starts, or resumes from an earlier epoch, gives up the epochs beyond.
    """
    found = {event.epoch: event for event in before}
    for event in events:
        match event:
            case EpochDone():
                found[event.epoch] = event
            case Started():
                found.clear()
            case Resumed(epoch=int(last)):
                found = {epoch: kept for epoch, kept in found.items() if epoch <= last}
    return [found[epoch] for epoch in sorted(found)]
