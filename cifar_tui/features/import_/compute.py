"""Checkpoints from elsewhere: a notebook's .pth becomes a finished run like any other."""

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.find import find
from cifar_tui.data.loading import open_dataset
from cifar_tui.errors import UserError
from cifar_tui.files import at_home, write_atomic
from cifar_tui.models.build import with_weights
from cifar_tui.models.state_dicts import Recognised, recognise
from cifar_tui.models.torch_file import read_stored
from cifar_tui.runs.events import (
    EPOCH_METRICS,
    CheckpointSaved,
    Ended,
    EpochDone,
    RunEvent,
    Started,
)
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.runs.record import Notes, Point, Summary
from cifar_tui.spec.checks import make_spec, with_role
from cifar_tui.spec.settings import CLASSES, SHOWN_NAME_LENGTH, RunSpec
from cifar_tui.text import at_epoch, plain
from cifar_tui.training.batches import PlainBatches
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.device import describe_environment
from cifar_tui.training.step import evaluate, make_optimiser

LARGEST_EPOCH, LARGEST_LR = 100_000, 100
WEIGHTS = ("state_dict", "model_state_dict", "net_state_dict", "model", "net")
"""Where a dict may hold its state dict; the course's template has the first."""
TAG = "imported"
BATCH = 250
LITTLE = 0.2
"""Below this accuracy something that the weights do not show was probably told wrong."""
CPU = torch.device("cpu")
ASSUMED = ("activation", "normalisation", "shortcut")
"""Settings that decide what weights compute, and which these do not show."""


@dataclass(frozen=True)
class ImportedFile:
    """Where weights come from: the file, what the user is to know, the settings it did not tell."""

    file: str
    note: str
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Imported:
    """The run that was made, and what was taken for granted about it."""

    run: Run
    assumed: str
    matched: str

    def to_dict(self) -> dict[str, Any]:
        """The run as `runs list --json` has it, with what was assumed."""
        return self.run.to_dict() | {"assumed": self.assumed, "matched": self.matched}

    def sentence(self) -> str:
        """What was imported, how good it is, and what to check."""
        summary = self.run.summary
        lines = [
            f"{plain(self.run.name)} is imported as {self.run.id}.",
            f"val_acc {at_epoch(summary.best)}, {summary.parameters or 0:,} parameters",
        ]
        if self.matched:
            lines.append(f"Its names are others; by order and shapes {self.matched}.")
        if self.assumed:
            lines.append(f"Assumed, as weights do not show it: {self.assumed}.")
        if self.run.synthetic:
            lines.append("It was evaluated on the demo set (synthetic).")
        elif self.run.best_val_acc < LITTLE:
            lines.append(
                "That is little: was it trained with another --activation, --shortcut, "
                "--normalisation, or on images with other class numbers?"
            )
        return "\n".join(lines)


def import_checkpoint(
    file: Path,
    runs: Path,
    given: Mapping[str, Any],
    tick: Callable[[int, int], None] = lambda done, images: None,
) -> Imported:
    """Make a finished run in `runs` of a .pth or .pt file; raises UserError.

    `given` holds settings that weights do not show (activation, shortcut, normalisation, data,
    name, tags); one of our checkpoints knows its own. Validation is by the images of `data`, on the
    CPU. `tick` is told the images done and in all; what it raises ends the import with no run made.
    """
    content = _read(at_home(file))
    known, weights = _told(content), _weights(content)
    given = {name: value for name, value in given.items() if value is not None}
    told = {**known, **given}
    try:
        recognised = recognise(weights, told.get("shortcut", "A"))
    except UserError as error:
        reason = str(error).removesuffix(".")
        raise UserError(f"{plain(str(file))} cannot be imported: {reason}.") from None
    epoch, lr = _epoch_and_lr(content)
    spec = _spec(file, {**told, **recognised.settings}, epoch, lr)
    assumed = _assumed(spec, told)
    evaluated = _evaluate(spec, recognised, _images(spec.data), tick)
    if not math.isfinite(evaluated.val_loss):
        raise UserError(f"{plain(str(file))} cannot be imported: its loss is not finite.")
    note = f"from {plain(file.name)}" + (f"; assumed {assumed}" if assumed else "")
    note += "; matched by order and shapes" * bool(recognised.matched)
    trained_on, images = content.get("fingerprint"), evaluated.dataset.fingerprints
    if isinstance(trained_on, str) and trained_on not in ("", *images):
        note += "; trained on other images"
    sure = {*told, *recognised.settings, *ASSUMED, *(["lr"] if lr is not None else [])}
    sure |= {"epochs"} if type(content.get("epoch")) is int else set()
    unknown = tuple(name for name in with_role("result", "repeat") if name not in sure)
    origin = ImportedFile(str(file.resolve()), note, unknown)
    return Imported(_save(runs, spec, recognised, evaluated, origin), assumed, recognised.matched)


def _read(file: Path) -> Mapping[str, Any]:
    """The file's dict, read with nothing in it run."""
    shown = plain(str(file))
    try:
        if not file.is_file():
            raise UserError(f"There is no file {shown}.")
        content = read_stored(file)
    except OSError as error:
        raise UserError(f"Cannot read {shown}: {error.strerror}.") from None
    except UserError as error:
        sentence = plain(str(error)).removesuffix(".")
        if "safely" not in sentence:
            raise
        raise UserError(f"{sentence}; torch.save(net.state_dict(), FILE) writes one.") from None
    if not isinstance(content, dict):
        raise UserError(f"{shown} cannot be imported: it holds no state dict.")
    return content


def _weights(content: Mapping[str, Any]) -> Mapping[Any, Any]:
    return next((content[n] for n in WEIGHTS if isinstance(content.get(n), dict)), content)


def _told(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that one of our checkpoints carries, as far as they are sound."""
    values = content.get("spec")
    if not isinstance(values, dict):
        return {}
    try:
        told = set(with_role("result", "repeat")) - {"epochs"}
        return make_spec(values).model_dump(include=told)
    except UserError:
        return {}


def _epoch_and_lr(content: Mapping[str, Any]) -> tuple[int, float | None]:
    """The epoch as the file counts it, at least 1, and a usable learning rate, or None."""
    epoch, lr = content.get("epoch"), content.get("lr")
    if type(epoch) is not int or not 1 <= epoch <= LARGEST_EPOCH:
        epoch = 1
    if not isinstance(lr, float) or not 0 < lr <= LARGEST_LR:
        lr = None
    return epoch, lr


def _spec(file: Path, values: Mapping[str, Any], epoch: int, lr: float | None) -> RunSpec:
    found = {"name": _name(file), **values, "epochs": epoch}
    if lr is not None:
        found["lr"] = lr
    spec = make_spec(found)
    tags: Sequence[str] = tuple(dict.fromkeys([TAG, *spec.tags]))
    return spec.model_copy(update={"tags": tags})


def _name(file: Path) -> str:
    return plain(file.stem)[:SHOWN_NAME_LENGTH].strip()


def _images(data: str) -> Dataset:
    """The images to validate with; the demo set only where it was asked for by name."""
    found = find(data)
    if found.source == "demo" and data != "demo":
        raise UserError(
            f"There are no images in {data} to evaluate with; --data DIR names another folder."
        )
    return open_dataset(data)


def _assumed(spec: RunSpec, told: Mapping[str, Any]) -> str:
    """The settings that decide what the weights compute, and that nobody told."""
    names = ASSUMED if spec.model == "resnet" and spec.shortcut != "B" else ASSUMED[:2]
    return ", ".join(f"{name} {getattr(spec, name)}" for name in names if name not in told)


@dataclass(frozen=True)
class _Evaluated:
    """What validation says, and on which images."""

    dataset: Dataset
    val_acc: float
    val_loss: float
    seconds: float


def _evaluate(
    spec: RunSpec, recognised: Recognised, dataset: Dataset, tick: Callable[[int, int], None]
) -> _Evaluated:
    model = with_weights(spec, recognised.state_dict).to(memory_format=torch.channels_last)
    quick = spec.model_copy(update={"val_batch_size": BATCH, "precision": "fp32"})
    batches = PlainBatches(dataset.val, quick, CPU)
    began = time.perf_counter()
    loss, accuracy = evaluate(model, batches, quick, CPU, lambda n: tick(n, len(batches)))
    return _Evaluated(dataset, accuracy, loss, time.perf_counter() - began)


def _save(
    runs: Path, spec: RunSpec, recognised: Recognised, found: _Evaluated, origin: ImportedFile
) -> Run:
    """Write the run's folder; one that cannot be written whole is removed."""
    point = Point(epoch=spec.epochs, val_acc=found.val_acc, val_loss=found.val_loss)
    model = with_weights(spec, recognised.state_dict)
    optimiser = make_optimiser(model, spec, CPU).state_dict()
    weights = recognised.state_dict
    checkpoint = Checkpoint(weights, spec.epochs, spec.lr, optimiser, 0, spec, point)
    folder = RunFolder.create(runs, spec)
    summary = read_run(folder.path).summary.model_copy(
        update={"status": "finished", "reason": TAG, "epochs_done": point.epoch}
        | {"best": point, "last": point, "device": "cpu", "source": found.dataset.source}
        | {"unknown": origin.unknown, "parameters": sum(p.numel() for p in model.parameters())}
    )
    try:
        checkpoint = replace(checkpoint, run=folder.id, fingerprint=found.dataset.fingerprint)
        write_atomic(folder.best, checkpoint.to_bytes())
        meta = {"run": folder.id, **describe_environment(found.dataset, CPU)}
        folder.write_meta({**meta, "imported": origin.file})
        folder.write_notes(Notes(note=origin.note))
        for event in _events(summary, spec, found.seconds):
            folder.append(replace(event, time=round(time.time(), 3)), durable=True)
        folder.write_summary(summary)
    except BaseException as error:
        shutil.rmtree(folder.path, ignore_errors=True)
        if isinstance(error, OSError):
            raise UserError(f"Cannot write a run into {runs}: {error.strerror}.") from None
        raise
    return read_run(folder.path)


def _events(summary: Summary, spec: RunSpec, seconds: float) -> list[RunEvent]:
    """The events of a run of which one epoch is known."""
    assert summary.last is not None
    lr = None if "lr" in summary.unknown else spec.lr
    epoch: dict[str, Any] = dict.fromkeys(EPOCH_METRICS) | summary.last.model_dump()
    return [
        Started(spec.epochs, summary.parameters, None, math.log(CLASSES), summary.id),
        EpochDone(**epoch | {"lr": lr, "val_seconds": seconds}),
        CheckpointSaved(spec.epochs, best=True),
        Ended(summary.status, summary.reason, summary=summary.model_dump(mode="json")),
    ]
