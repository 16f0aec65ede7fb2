"""Takes the measurements in turns, so that a machine that gets slower slows them all alike."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.spec import RunSpec
from cifar_tui.training.process import SPIN

EPOCH = 45_000
"""Images in an epoch of the course's training split."""
IMAGES = {"simplenn": 0, "resnet": 5_120}
"""Training images in one turn; 0 for all of them."""
MODELS: dict[str, dict[str, Any]] = {
    "simplenn": {"lr": 0.01},
    "resnet": {"model": "resnet", "lr": 0.1},
}
TIMEOUT = 1800

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Row:
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
    rows: list[Row]

    def to_dict(self) -> dict[str, Any]:
        """The result for programs."""
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
    rows: list[Row] = []
    last: dict[str, Any] = {}
    for model in models:
        count = IMAGES[model] if images is None else images
        base = {"data": data, "device": device, "augment": True, **MODELS[model]}
        specs = {p: RunSpec.model_validate({**base, "precision": p}) for p in precisions}
        plain_spec = RunSpec.model_validate(base)
        plain: list[dict[str, Any]] = []
        engine: dict[str, list[dict[str, Any]]] = {p: [] for p in precisions}
        limit: dict[str, list[dict[str, Any]]] = {p: [] for p in precisions}
        for number in range(1, rounds + 1):
            tell(f"{model}: round {number} of {rounds}")
            plain.append(_part("plain", plain_spec, count))
            for precision, spec in specs.items():
                engine[precision].append(_part("engine", spec, count))
                limit[precision].append(_part("limit", spec, count))
        for precision, spec in specs.items():
            last = _part("floor", spec, count)
            rows.append(_row(model, spec, plain, engine[precision], limit[precision], last))
    return Result(last["device"], last["threads"], last["source"], rounds, rows)


def _row(
    model: str,
    spec: RunSpec,
    plain: list[dict[str, Any]],
    engine: list[dict[str, Any]],
    limit: list[dict[str, Any]],
    floor: dict[str, Any],
) -> Row:
    a, b, c = ([turn["images_per_second"] for turn in turns] for turns in (plain, engine, limit))
    return Row(
        model="resnet20" if model == "resnet" else model,
        precision=spec.precision,
        plain=statistics.median(a),
        engine=statistics.median(b),
        limit=statistics.median(c),
        floor=floor["images_per_second"],
        engine_over_plain=statistics.median(y / x for x, y in zip(a, b, strict=True)),
        engine_over_limit=statistics.median(y / x for x, y in zip(c, b, strict=True)),
        plain_val_seconds=statistics.median(turn["val_seconds"] for turn in plain),
        engine_val_seconds=statistics.median(turn["val_seconds"] for turn in engine),
        arithmetic={k: v for k, v in floor.items() if "per" in k and k != "images_per_second"},
        remarks=sorted({remark for turn in engine for remark in turn["remarks"]}),
    )


def _part(part: str, spec: RunSpec, images: int) -> dict[str, Any]:
    """Run one measurement as a process of its own."""
    asked = json.dumps({"part": part, "spec": spec.model_dump(mode="json"), "images": images})
    done = subprocess.run(
        [sys.executable, "-m", "cifar_tui.bench.parts", asked],
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
