"""Takes the measurements in turns, so that a machine that gets slower slows them all alike."""

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cifar_tui.data.find import find
from cifar_tui.errors import UserError
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.process import SPIN, program

EPOCH = 45_000
"""Images in an epoch of the course's training split."""
IMAGES = {"simplenn": 0, "resnet": 5_120}
"""Training images in one turn; 0 for all of them."""
MODELS: dict[str, dict[str, Any]] = {
    "simplenn": {"lr": 0.01},
    "resnet": {"model": "resnet", "lr": 0.1},
}
TIMEOUT = 1800

PARTS = ("engine", "limit")
"""What is measured of each model in each precision, besides the usual script and the floor."""

Tell = Callable[[str], None]
Figures = dict[str, Any]
Turn = dict[str, Figures]


@dataclass(frozen=True)
class BenchRow:
    """One model in one precision; rates in images a second, medians over the rounds.

    (a) `plain` is the usual script, always in fp32; (b) `engine` is ours; (c) `limit` is the same
    model's steps on one resident batch; `floor` is arithmetic. The ratios are medians of each
    round's own ratio.
    """

    model: str
    precision: str
    plain: float
    engine: float
    limit: float
    floor: float
    engine_over_plain: float
    engine_over_limit: float
    plain_val_seconds: float
    engine_val_seconds: float
    arithmetic: dict[str, Any]
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Its fields, with the seconds that an epoch of 45,000 images takes at each rate."""
        rates = {name: getattr(self, name) for name in ("plain", "engine", "limit", "floor")}
        seconds = {name: EPOCH / rate for name, rate in rates.items()}
        return asdict(self) | {"seconds_per_epoch": seconds}


@dataclass(frozen=True)
class Result:
    """All rows, and where they were measured."""

    device: str
    threads: int
    source: str
    rounds: int
    rows: list[BenchRow]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"rows": [row.to_dict() for row in self.rows]}


def bench(
    models: Sequence[str],
    precisions: Sequence[str],
    *,
    data: str,
    device: str,
    rounds: int,
    images: int | None,
    tell: Tell,
) -> Result:
    """Measure each model in each precision; raises UserError when a part fails."""
    find(data)
    rows: list[BenchRow] = []
    floor: Figures = {}
    for model in models:
        count = IMAGES[model] if images is None else images
        base = {"data": data, "device": device, "augment": True, **MODELS[model]}
        specs = [RunSpec.model_validate({**base, "precision": p}) for p in precisions]
        turns: dict[str, list[Turn]] = {precision: [] for precision in precisions}
        for number in range(1, rounds + 1):
            tell(f"{model}: round {number} of {rounds}")
            plain = _part("plain", RunSpec.model_validate(base), count)
            for spec in specs:
                found = {part: _part(part, spec, count) for part in PARTS}
                turns[spec.precision].append({"plain": plain, **found})
        for spec in specs:
            floor = _part("floor", spec, count)
            rows.append(_row(model, spec.precision, turns[spec.precision], floor))
    return Result(floor["device"], floor["threads"], floor["source"], rounds, rows)


def _row(model: str, precision: str, turns: list[Turn], floor: Figures) -> BenchRow:
    def middle(part: str, over: str | None = None, figure: str = "images_per_second") -> float:
        """The median over the rounds of a part's figure, or of its ratio to another part's."""
        return statistics.median(
            turn[part][figure] / (turn[over][figure] if over else 1) for turn in turns
        )

    return BenchRow(
        model="resnet20" if model == "resnet" else model,
        precision=precision,
        plain=middle("plain"),
        engine=middle("engine"),
        limit=middle("limit"),
        floor=floor["images_per_second"],
        engine_over_plain=middle("engine", "plain"),
        engine_over_limit=middle("engine", "limit"),
        plain_val_seconds=middle("plain", figure="val_seconds"),
        engine_val_seconds=middle("engine", figure="val_seconds"),
        arithmetic={k: v for k, v in floor.items() if "per" in k and k != "images_per_second"},
        remarks=sorted({remark for turn in turns for remark in turn["engine"]["remarks"]}),
    )


def _part(part: str, spec: RunSpec, images: int) -> Figures:
    """Run one measurement as a process of its own."""
    asked = json.dumps({"part": part, "spec": spec.model_dump(mode="json"), "images": images})
    done = subprocess.run(
        program(asked, module="cifar_tui.features.bench.parts"),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        env={**(SPIN if part != "plain" else {}), **os.environ},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"Measuring {part} ended with an error: {last}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
