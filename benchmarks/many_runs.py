"""Folders of many finished runs, made up and not trained: `python -m benchmarks.many_runs FOLDER`.

60 settings of SimpleNN (lr, batch norm, augmentation, L2) with five seeds each. The curves follow a
formula with noise; all say so: their images are `demo`, they are tagged and noted as generated.
"""

import argparse
import itertools
import math
import random
import time
from pathlib import Path
from typing import Any

from cifar_tui.runs.events import EpochDone
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.record import Notes, Point
from cifar_tui.spec.settings import RunSpec

LRS = (0.001, 0.01, 0.05, 0.1, 1.0)
L2S = (0.0, 1e-4, 1e-2)
SEEDS = 5
EPOCHS = 30
SECONDS = 4.0
"""Of an epoch."""
NOTE = "generated, not trained"
CHANCE = 0.1


def settings() -> list[dict[str, Any]]:
    """300 settings, seeds innermost."""
    switches = (False, True)
    return [
        {"lr": lr, "batch_norm": bn, "augment": aug, "l2": l2, "seed": seed}
        for lr, bn, aug, l2, seed in itertools.product(LRS, switches, switches, L2S, range(SEEDS))
    ]


def write_run(runs: Path, values: dict[str, Any], now: float) -> RunFolder:
    """One run's folder, its events ending at `now` (seconds since 1970)."""
    spec = RunSpec(**values, data="demo", epochs=EPOCHS, tags=("generated",))
    folder = RunFolder.create(runs, spec)
    points = curve(spec)
    for point in points:
        folder.append(
            EpochDone(
                **point.model_dump(),
                lr=spec.lr,
                images_per_second=45_000 / SECONDS,
                train_seconds=SECONDS,
                val_seconds=0.2,
                time=now - (len(points) - point.epoch) * (SECONDS + 0.2),
            )
        )
    changes = {
        "status": "finished" if len(points) == EPOCHS else "diverged",
        "reason": "" if len(points) == EPOCHS else f"diverged at epoch {len(points) + 1}",
        "epochs_done": len(points),
        "last": points[-1],
        "best": max(points, key=lambda point: point.val_acc or 0.0),
        "initial_loss": math.log(10),
        "parameters": 82_078 if spec.batch_norm else 82_030,
        "device": "none",
        "source": "demo",
        "seconds": len(points) * (SECONDS + 0.2),
    }
    folder.write_summary(read_run(folder.path).summary.model_copy(update=changes))
    folder.write_notes(Notes(note=NOTE))
    return folder


def curve(spec: RunSpec) -> list[Point]:
    """Accuracies that rise to what the settings allow, and losses that fit; lr 1 breaks off."""
    chance = random.Random(repr((spec.lr, spec.batch_norm, spec.augment, spec.l2, spec.seed)))
    away = math.log10(spec.lr / (0.02 if spec.batch_norm else 0.01))
    top = 0.66 + 0.04 * spec.augment + 0.02 * spec.batch_norm - 0.07 * (spec.l2 > 1e-3)
    top -= (0.03 if spec.batch_norm else 0.06) * away**2
    top = max(CHANCE, top + chance.gauss(0, 0.006))
    breaks = spec.lr >= 1 and not spec.batch_norm
    last = chance.randint(2, 9) if breaks else EPOCHS
    gap = 0.02 if spec.augment else 0.12
    points = []
    for epoch in range(1, last + 1):
        grown = 1 - math.exp(-epoch / 5)
        acc = CHANCE + (top - CHANCE) * grown + chance.gauss(0, 0.008)
        train = CHANCE + (top + gap * grown - CHANCE) * grown
        points.append(
            Point(
                epoch=epoch,
                val_acc=round(min(max(acc, 0.0), 1.0), 4),
                train_acc=round(train, 4),
                val_loss=2.3 * (1 - acc) + 0.3 * gap * grown,
                train_loss=2.3 * (1 - train),
            )
        )
    return points


def write_runs(runs: Path) -> int:
    """Write them all; returns how many."""
    now = time.time()
    return len([write_run(runs, values, now) for values in settings()])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_runs", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print(f"{write_runs(folder)} generated runs in {folder}")
