"""Runs as an experiment would leave them, without training any."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.features.labs.answer import Book, LabAnswer
from cifar_tui.features.labs.assignment import BY_NAME
from cifar_tui.features.labs.experiments import Scale
from cifar_tui.features.labs.images import ImageSet
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs, read_run
from cifar_tui.runs.record import Point
from cifar_tui.spec.settings import RunSpec
from tests.told import tell

Save = Callable[..., RunFolder]
Ask = Callable[..., LabAnswer]
FINGERPRINT = "0123456789abcdef"


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write the folder of a run of this spec that ended with this val_acc."""

    def save(
        spec: RunSpec,
        acc: float = 0.5,
        *,
        status: str = "finished",
        epochs_done: int | None = None,
        source: str = "course",
        fingerprint: str = FINGERPRINT,
    ) -> RunFolder:
        folder = RunFolder.create(tmp_path / "runs", spec)
        done = spec.epochs if epochs_done is None else epochs_done
        point = Point(epoch=done, val_acc=acc, val_loss=1.0, train_acc=acc + 0.02) if done else None
        changes = {"status": status, "epochs_done": done, "best": point, "source": source}
        changes |= {"initial_loss": 2.31, "device": "cpu", "seconds": 10.0 * done}
        folder.write_summary(read_run(folder.path).summary.model_copy(update=changes))
        folder.write_meta({"dataset": {"folder": "/images", "fingerprint": fingerprint}})
        for epoch in range(1, done + 1):
            tell(
                folder,
                {"event": "epoch", "epoch": epoch, "val_acc": acc, "train_seconds": 9.0}
                | {"train_acc": acc + 0.02}
                | {"val_seconds": 1.0, "lr": spec.lr},
            )
        return folder

    return save


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """How an experiment stands by the runs saved so far."""

    def ask(
        name: str,
        images: ImageSet | None = None,
        where: dict[str, Any] | None = None,
        **scale: Any,
    ) -> LabAnswer:
        runs = Runs(tmp_path / "runs").all()
        book = Book(runs, images or ImageSet("course", FINGERPRINT))
        return book.answer(BY_NAME[name], Scale(**scale), **(where or {}))

    return ask


def specs(name: str, *, seed: int = 0, **scale: Any) -> list[RunSpec]:
    """The runs of an experiment, one per setting, in its order."""
    lab = BY_NAME[name]
    return [arm.spec(lab.name, Scale(**scale), seed) for arm in lab.arms]
