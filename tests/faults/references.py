"""What undisturbed training gives: each epoch's figures and weights, by settings and images."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cifar_tui.data.demo
from cifar_tui.data.dataset import Dataset, Split
from cifar_tui.data.loading import open_dataset
from cifar_tui.files import write_json
from cifar_tui.runs.events import EpochDone, Started
from cifar_tui.spec.checks import with_role
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.trainer import train
from tests.faults.rig import EXACT, PATIENCE, Lost, fork, wait

FREE = {"epochs", *with_role("label", "where")}
"""Settings that change no epoch's figures, as long as no schedule depends on them."""
SHORT, LONG = 8, 30
"""Epochs that are trained for reference."""
TRAIN, VAL, TEST = 100, 40, 20


@dataclass(frozen=True)
class Reference:
    """One training: figures and digest of the weights after each epoch, from epoch 1 on."""

    settings: str
    images: str
    fingerprint: str
    initial_loss: float
    epochs: list[dict[str, Any]]
    weights: list[str]
    """From epoch 0 on."""

    @property
    def of(self) -> tuple[str, str]:
        """Settings and images."""
        return self.settings, self.images

    @property
    def synthetic(self) -> bool:
        """Whether it was trained on the demo set."""
        return self.images == "demo"


class References:
    """Trains references when they are first asked for, and keeps them in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sets = {"demo": "demo"}
        """The images by name, as `--data` takes them."""
        folder.mkdir()
        self._known: dict[str, Reference] = {}
        small = _cut(cifar_tui.data.demo.draw_demo())
        cifar_tui.data.demo.draw_demo = lambda seed=0: small
        for name, turn in (("course", 0), ("others", 1)):
            self.sets[name] = str(_write(folder / name, small, turn))
        self.fingerprints = {
            open_dataset(place).fingerprint: name for name, place in self.sets.items()
        }

    def of(self, spec: Mapping[str, Any], images: str, epochs: int) -> Reference:
        """The reference of these settings and images, so many epochs at least."""
        length = SHORT if epochs <= SHORT else LONG
        kept = {k: v for k, v in spec.items() if k not in FREE}
        settings = json.dumps(kept, sort_keys=True)
        key = hashlib.sha256(f"{settings} {images} {length}".encode()).hexdigest()
        path = self.folder / f"{key[:24]}.json"
        if path.name not in self._known:
            if not path.exists():
                changed = {**spec, "epochs": length, "data": self.sets[images]}
                full = RunSpec.model_validate(changed)
                if wait(fork(lambda: self._train(full, images, path)), PATIENCE):
                    raise Lost("a reference could not be trained")
            self._known[path.name] = Reference(settings, **json.loads(path.read_bytes()))
        return self._known[path.name]

    def _train(self, spec: RunSpec, images: str, path: Path) -> None:
        torch.set_num_threads(1)
        dataset = open_dataset(self.sets[images])
        weights: list[str] = []
        epochs = []
        initial = 0.0

        def keep(checkpoint: Checkpoint, best: bool) -> None:
            weights.append(digest(checkpoint.state_dict))

        for event in train(spec, dataset, torch.device("cpu"), lambda *_: 0.0, keep):
            if isinstance(event, Started):
                initial = event.initial_loss or 0.0
            if isinstance(event, EpochDone):
                epochs.append({name: getattr(event, name) for name in EXACT})
        found = {"images": images, "fingerprint": dataset.fingerprint, "initial_loss": initial}
        write_json(path, {**found, "epochs": epochs, "weights": weights})


def digest(weights: Mapping[str, torch.Tensor]) -> str:
    """What tells weights apart to the last bit."""
    found = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _cut(whole: Dataset) -> Dataset:
    """A demo set that is trained on in a moment."""
    counts = {"train": TRAIN, "val": VAL, "test": TEST}
    parts = {}
    for name, count in counts.items():
        split = getattr(whole, name)
        parts[name] = Split(split.images[:count].copy(), split.labels[:count].copy())
    return Dataset("demo", None, parts["train"], parts["val"], parts["test"], whole.classes)


def _write(folder: Path, demo: Dataset, turn: int) -> Path:
    """Images in the course's layout: the demo's last ones turned round, with other labels."""
    folder.mkdir()
    for name in ("train", "val", "test"):
        split = getattr(demo, name)
        images = np.ascontiguousarray(split.images[::-1, :, ::-1])
        np.save(folder / f"{name}-images-batch.npy", images)
        if name != "test":
            labels = (split.labels[::-1] + turn) % 10
            np.save(folder / f"{name}-labels-batch.npy", labels.astype(np.uint8))
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    return folder
