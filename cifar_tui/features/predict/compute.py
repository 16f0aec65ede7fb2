"""predictions.csv from the best checkpoints: of one run, or of what validates best of several.

An ensemble's probabilities are the mean of its nets' softmax outputs; a flip's those of an image
and its mirror image. What was considered and taken stands in a .json file beside the predictions.
"""

import hashlib
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cifar_tui import __version__, files
from cifar_tui.data.dataset import Split, empty_split
from cifar_tui.errors import Tick, UserError
from cifar_tui.features.predict.core import (
    Agreement,
    Export,
    Exported,
    agree,
    check_output,
    check_outputs,
    drop_record,
    output_path,
    read_predictions,
    record_path,
    write_predictions,
)
from cifar_tui.models.build import with_weights
from cifar_tui.runs.listing import Run
from cifar_tui.runs.origin import origin_of
from cifar_tui.spec.settings import CLASSES, RunSpec
from cifar_tui.text import accuracy, plain, shortened
from cifar_tui.training.batches import PlainBatches
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.resume import best_of, images_of, remark_on
from cifar_tui.training.step import predict, probabilities

BATCH = 250
"""Images per batch; changes no result."""
CPU = torch.device("cpu")


def export_predictions(
    run: Run,
    output: Path | None = None,
    *,
    data: str | None = None,
    overwrite: bool = False,
    tick: Tick = lambda done, images: None,
) -> Export:
    """Predict the test split with best.pt and write it; raises UserError.

    `data` is a folder of images, by default the one the run was trained on. `tick` is told the
    images done and in all between batches; what it raises ends the export with nothing written.
    """
    path = output_path(output, run.synthetic)
    check_output(path, overwrite)
    checkpoint, _ = best_of(run)
    dataset = images_of(run, data, "test", "export")
    images = len(dataset.test)
    labels = _predicted(checkpoint, dataset.test, lambda done: tick(done, images))
    drop_record(path)
    write_predictions(path, labels, overwrite=overwrite)
    return Export(
        run=run.id,
        output=str(path),
        rows=len(labels),
        epoch=checkpoint.epoch,
        val_acc=checkpoint.best.val_acc if checkpoint.best else None,
        counts=counts_of(labels),
        classes=dataset.classes,
        synthetic=dataset.synthetic,
        remark=remark_on(run, dataset),
    )


def export_weights(run: Run, path: Path, *, overwrite: bool = False) -> None:
    """Write the state dict of best.pt, as the course's notebook loads it; raises UserError."""
    files.check_output(path, overwrite, "resnet.pth")
    checkpoint, _ = best_of(run)
    content = io.BytesIO()
    torch.save(checkpoint.state_dict, content)
    files.write_output(path, content.getvalue(), overwrite=overwrite)


def model_of(checkpoint: Checkpoint) -> tuple[nn.Module, RunSpec]:
    """The checkpoint's net on the CPU, so that a run in training keeps its GPU to itself."""
    spec = checkpoint.spec.model_copy(update={"val_batch_size": BATCH})
    model = with_weights(spec, checkpoint.state_dict)
    return model.to(memory_format=torch.channels_last), spec


def counts_of(labels: Sequence[int]) -> dict[str, int]:
    counts = Counter(labels)
    return {str(label): counts[label] for label in range(CLASSES)}


@dataclass(frozen=True)
class Candidate:
    """One way to predict: these runs, with or without flips, and its validation accuracy."""

    runs: tuple[int, ...]
    """Places in the list of runs; several are an ensemble."""
    flips: bool
    val_acc: float


class Ensemble:
    """Some runs on the same images, and what each way to combine them is worth on validation."""

    def __init__(self, runs: Sequence[Run], data: str | None = None) -> None:
        """Read the checkpoints and the images; raises UserError, also for runs of unlike images."""
        self.runs = list(runs)
        self.fingerprint = same_images(runs)
        self.checkpoints = [best_of(run)[0] for run in runs]
        self.dataset = images_of(runs[0], data, "test", "export")
        self.choices: list[Candidate] = []

    @property
    def best(self) -> Candidate:
        """The choice with the highest val_acc; of equal ones the simplest."""
        return max(self.choices, key=_worth)

    @property
    def synthetic(self) -> bool:
        return self.dataset.synthetic

    def weigh(self, flips: bool, tick: Tick = lambda done, total: None) -> None:
        """Compute val_acc of each run and of all together, with flips as well where asked for."""
        val = self.dataset.val
        assert val.labels is not None
        labels = torch.from_numpy(val.labels)
        counted = counter(len(self.runs) * (1 + flips), len(val), tick)
        ways = [False, True] if flips else [False]
        found: dict[bool, list[Tensor]] = {way: [] for way in ways}
        for checkpoint in self.checkpoints:
            straight = _probabilities(checkpoint, val, False, next(counted))
            found[False].append(straight)
            if flips:
                mirrored = _probabilities(checkpoint, val, True, next(counted))
                found[True].append((straight + mirrored) / 2)
        alone = [(i,) for i in range(len(self.runs))]
        together = [tuple(range(len(self.runs)))] if len(self.runs) > 1 else []
        self.choices = [
            Candidate(some, way, _accuracy(_mean([found[way][i] for i in some]), labels))
            for some in [*alone, *together]
            for way in ways
        ]

    def predict(self, choice: Candidate, tick: Tick = lambda done, total: None) -> list[int]:
        """The labels of the test split by this choice."""
        test = self.dataset.test
        counted = counter(len(choice.runs) * (1 + choice.flips), len(test), tick)
        found = [
            _probabilities(self.checkpoints[i], test, mirrored, next(counted))
            for i in choice.runs
            for mirrored in ([False, True] if choice.flips else [False])
        ]
        return [int(label) for label in _mean(found).argmax(1)]

    def words(self, choice: Candidate) -> str:
        """A choice in a few words: the run's name or `ensemble of 3`, and whether with flips."""
        alone = len(choice.runs) == 1
        what = self.runs[choice.runs[0]].name if alone else f"ensemble of {len(choice.runs)}"
        return shortened(what) + (" + flips" if choice.flips else "")

    def lines(self, most: int | None = None) -> list[str]:
        """The choices with their val_acc, best first and marked; `most` cuts them off."""
        ordered = sorted(self.choices, key=_worth, reverse=True)
        shown = ordered[:most]
        width = max(len(self.words(choice)) for choice in shown)
        lines = [f"{self.words(choice):<{width}}  {accuracy(choice.val_acc)}" for choice in shown]
        others = [f"  and {len(ordered) - len(shown)} others"] if len(shown) < len(ordered) else []
        return [f"> {lines[0]}", *(f"  {line}" for line in lines[1:]), *others]


def _worth(choice: Candidate) -> tuple[float, int, bool]:
    """What a choice is taken by: val_acc, and of equal ones the simplest."""
    return choice.val_acc, -len(choice.runs), not choice.flips


def export_best(
    runs: Sequence[Run],
    output: Path | None = None,
    *,
    flips: bool = True,
    data: str | None = None,
    overwrite: bool = False,
    tick: Tick = lambda done, total: None,
) -> Exported:
    """Try the runs alone and together, take what validates best, and write its predictions."""
    path = output_path(output, runs[0].synthetic)
    check_outputs(path, overwrite)
    ensemble = Ensemble(runs, data)
    ensemble.weigh(flips, tick)
    return export_choice(ensemble, path, overwrite=overwrite, tick=tick)


def export_choice(
    ensemble: Ensemble,
    path: Path,
    *,
    overwrite: bool = False,
    tick: Tick = lambda done, total: None,
) -> Exported:
    """Write the predictions of the best choice and, beside them, how they came about."""
    check_outputs(path, overwrite)
    labels = ensemble.predict(ensemble.best, tick)
    write_predictions(path, labels, overwrite=overwrite)
    record = _record(ensemble, path, labels)
    try:
        files.write_json(record_path(path), record)
    except OSError as error:
        raise UserError(
            f"{path} is written, but not {record_path(path)}: {error.strerror}."
        ) from None
    return Exported(record, tuple(ensemble.lines()))


def _record(ensemble: Ensemble, path: Path, labels: list[int]) -> dict[str, Any]:
    dataset, best = ensemble.dataset, ensemble.best
    return {
        "output": str(path),
        "record": str(record_path(path)),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "rows": len(labels),
        "counts": counts_of(labels),
        "synthetic": dataset.synthetic,
        "chosen": _choice_record(ensemble, best),
        "choices": [_choice_record(ensemble, choice) for choice in ensemble.choices],
        "chosen_by": f"val_acc on {len(dataset.val):,} validation images; the test split chose "
        "nothing",
        "runs": [
            {
                "id": run.id,
                "name": run.name,
                "epoch": checkpoint.epoch,
                "val_acc": checkpoint.best.val_acc if checkpoint.best else None,
            }
            for run, checkpoint in zip(ensemble.runs, ensemble.checkpoints, strict=True)
        ],
        "images": {
            "source": dataset.source,
            "fingerprint": dataset.fingerprint,
            "trained_on": ensemble.fingerprint,
            "classes": list(dataset.classes),
            "remark": remark_on(ensemble.runs[0], dataset),
        },
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "version": __version__,
    }


def _choice_record(ensemble: Ensemble, choice: Candidate) -> dict[str, Any]:
    return {
        "runs": [ensemble.runs[i].id for i in choice.runs],
        "epochs": [ensemble.checkpoints[i].epoch for i in choice.runs],
        "flips": choice.flips,
        "val_acc": choice.val_acc,
    }


def same_images(runs: Sequence[Run]) -> str | None:
    """The fingerprint of the images that all runs were trained on; raises UserError if unlike.

    A single run may have been trained on unknown ones.
    """
    found = []
    for run in runs:
        origin = origin_of(run)
        found.append((origin.source, origin.fingerprint, origin.classes))
    for run, (_, fingerprint, _) in zip(runs, found, strict=True):
        if not fingerprint and len(runs) > 1:
            raise UserError(f"{run.id} does not say which images it was trained on.")
    for run, images in zip(runs, found, strict=True):
        if images != found[0]:
            raise UserError(
                f"{runs[0].id} and {run.id} were trained on different images, or on other classes; "
                "only runs of the same images can be combined or compared."
            )
    return found[0][1] or None


def _probabilities(
    checkpoint: Checkpoint, split: Split, mirrored: bool, tick: Callable[[int], None]
) -> Tensor:
    """Softmax outputs float64 (N,10) of a checkpoint on a split, on the CPU."""
    model, spec = model_of(checkpoint)
    batches = PlainBatches(split, spec, CPU)
    return probabilities(model, batches, spec, tick, mirrored=mirrored)


def _mean(found: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(found)).mean(0)


def _accuracy(found: Tensor, labels: Tensor) -> float:
    return int((found.argmax(1) == labels).sum()) / len(labels)


def counter(passes: int, images: int, tick: Tick) -> Iterator[Callable[[int], None]]:
    """One tick per pass over the images; all of them count towards one total."""

    def count(before: int, done: int) -> None:
        tick(before + done, passes * images)

    return (partial(count, number * images) for number in range(passes))


def agreement(
    a: Run | Path,
    b: Run | Path,
    split: str,
    *,
    data: str | None = None,
    tick: Tick = lambda done, total: None,
) -> Agreement:
    """Compare two runs' best nets, or files of predictions, on a split; raises UserError.

    The true labels are looked at on val only: the test split picks no model. They come from a
    run's own images, or from the folder `data`.
    """
    runs = [one for one in (a, b) if isinstance(one, Run)]
    if len(runs) == 2:
        same_images(runs)
    dataset = images_of(runs[0], data, split, "runs agree") if runs else None
    if dataset is None and split == "val":
        raise UserError("Of two files only --split test can be compared: no run has the labels.")
    images = dataset.splits[split] if dataset else empty_split()
    counted = counter(len(runs), len(images), tick)
    found = [
        read_predictions(one)
        if isinstance(one, Path)
        else _predicted(best_of(one)[0], images, next(counted))
        for one in (a, b)
    ]
    truth = dataset.val.labels if dataset and split == "val" else None
    return agree(
        (_name(a), _name(b)),
        (found[0], found[1]),
        split,
        None if truth is None else truth.tolist(),
        classes=dataset.classes if dataset else (),
        synthetic=bool(dataset and dataset.synthetic),
        remark=remark_on(runs[0], dataset) if dataset else "",
    )


def _predicted(checkpoint: Checkpoint, split: Split, tick: Callable[[int], None]) -> list[int]:
    model, spec = model_of(checkpoint)
    return predict(model, PlainBatches(split, spec, CPU), spec, tick)


def _name(subject: Run | Path) -> str:
    return plain(str(subject) if isinstance(subject, Path) else subject.name)
