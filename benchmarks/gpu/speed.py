"""How fast a run trains: the engine, one resident batch, and the usual script."""

import time
from functools import partial
from itertools import pairwise
from typing import Any

import torch

from benchmarks.gpu.pieces import BATCH, Setup
from benchmarks.gpu.results import Results, listed, median, short
from cifar_tui.data.dataset import Dataset
from cifar_tui.features.bench import plain
from cifar_tui.features.bench.parts import WARM_UP, Resident
from cifar_tui.runs.events import EpochDone, Remark
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import TrainBatches
from cifar_tui.training.device import Backlog, marker
from cifar_tui.training.graphed import GraphedStep, make_step
from cifar_tui.training.trainer import train

WAYS: dict[str, dict[str, bool]] = {
    "as it is": {},
    "plain step": {"graph": False},
    "not channels last": {"channels_last": False},
    "not deterministic": {"deterministic": False},
    "cudnn.benchmark": {"benchmark": True},
    "benchmark, not deterministic": {"benchmark": True, "deterministic": False},
}
FEW = ("as it is", "not channels last")


def simplenn(found: Results, at: Setup) -> None:
    """SimpleNN in every precision."""
    _speed(found, at, "simplenn", {"fp32": 30, "tf32": 8, "bf16": 8})


def resnet(found: Results, at: Setup) -> None:
    """ResNet-20 in every precision."""
    _speed(found, at, "resnet20", {"fp32": 5, "tf32": 5, "bf16": 6})


def script(found: Results, at: Setup) -> None:
    """The usual script: PIL images from four worker processes, fp32 as torch has it by default."""
    data = at.dataset(at.pick(0, 1024))
    for model in at.pick(["simplenn", "resnet20"], ["simplenn"]):
        with found.trying(f"usual script {model}"):
            spec = at.spec(model)
            rate, seconds = plain.measure(data.train, data.val, spec, at.device, WARM_UP)
            found.keep(model, {"images_per_second": rate, "val_seconds": seconds})
            found.line(f"usual script, {model}: {short(rate)} images/s, val {seconds:.2f} s")


def _speed(found: Results, at: Setup, model: str, epochs: dict[str, int]) -> None:
    data = at.dataset()
    for precision in at.precisions:
        rate = float("nan")
        with found.trying(f"engine {model} {precision}"):
            spec = at.spec(model, precision=precision, epochs=at.pick(epochs[precision], 2))
            row = _engine(spec, data, at)
            rate = row["images_per_second"]
            found.keep(f"engine {precision}", row)
            found.line(
                f"{model} {precision}: {short(rate)} images/s, train {row['train_s']:.4f} s, "
                f"val {row['val_s']:.4f} s, whole epoch {row['epoch_s']:.4f} s; {spec.epochs} "
                f"epochs {row['all_s']:.2f} s (first after {row['first_s']:.2f}); peak "
                f"{row['memory_GiB']:.2f} GiB; val_acc {row['val_acc']:.3f} {row['remarks'] or ''}"
            )
        ways = FEW if at.smoke or precision == "tf32" else tuple(WAYS)
        rates: dict[str, float] = {}
        for way in ways:
            with found.trying(f"resident {model} {precision} {way}"):
                rates[way] = _resident(at.spec(model, precision=precision), data, at, **WAYS[way])
        found.keep(f"resident {precision}", rates)
        times = {w: f"{short(r)} ({1e6 * BATCH / r:.0f} us)" for w, r in rates.items()}
        share = rate / rates.get("as it is", float("nan"))
        found.line(f"  one resident batch ({precision}): {listed(times)}; engine/this {share:.3f}")
    with found.trying(f"Python's cost {model}"):
        cost = _cost_of_giving(at.spec(model), data, at)
        found.keep("python", cost)
        found.line(
            f"  {model}: Python gives a step in {cost['step_us']:.0f} us (its replay alone "
            f"{cost['replay_us']:.0f}); an epoch is drawn in {cost['draw_ms']:.1f} ms"
        )


def _engine(spec: RunSpec, data: Dataset, at: Setup) -> dict[str, Any]:
    """The trainer as every run uses it, without a folder: medians of its epochs but the first."""
    marks: list[tuple[float, EpochDone]] = []
    remarks: list[str] = []
    if not at.smoke:
        torch.cuda.reset_peak_memory_stats(at.device)
    began = time.perf_counter()
    for event in train(spec, data, at.device, lambda *_: 0.0, lambda *_: None):
        if isinstance(event, EpochDone):
            marks.append((time.perf_counter(), event))
        elif isinstance(event, Remark):
            remarks.append(event.text)
    later = [event for _, event in marks[1:]]
    memory = 0 if at.smoke else torch.cuda.max_memory_allocated(at.device)
    return {
        "first_s": marks[0][0] - began,
        "all_s": marks[-1][0] - began,
        "epoch_s": median([b[0] - a[0] for a, b in pairwise(marks)]),
        "train_s": median([event.train_seconds or 0 for event in later]),
        "val_s": median([event.val_seconds or 0 for event in later]),
        "images_per_second": median([event.images_per_second or 0 for event in later]),
        "val_acc": marks[-1][1].val_acc,
        "memory_GiB": memory / 2**30,
        "remarks": remarks,
    }


def _resident(
    spec: RunSpec,
    data: Dataset,
    at: Setup,
    *,
    channels_last: bool = True,
    deterministic: bool = True,
    benchmark: bool = False,
    graph: bool = True,
) -> float:
    """Images a second of steps on one resident batch and nothing else."""
    batches = TrainBatches(data.train.first(BATCH), spec, at.device)
    batch = next(batches.epoch(1))
    images = batches.cut(batch[0])
    images = images if channels_last else images.contiguous()
    step = at.plain_step(spec, Resident(images), channels_last=channels_last)
    flags = torch.backends.cudnn
    flags.deterministic, flags.benchmark = deterministic, benchmark
    try:
        if graph and not at.smoke:
            return BATCH / at.seconds(partial(GraphedStep(step, [batch]).replay, BATCH))
        return BATCH / at.seconds(partial(step, *batch))
    finally:
        flags.deterministic, flags.benchmark = True, False


def _cost_of_giving(spec: RunSpec, data: Dataset, at: Setup) -> dict[str, float]:
    """Microseconds of Python for a step with all that a run does, and for its replay alone."""
    batches = TrainBatches(data.train, spec, at.device)
    step, _ = make_step(at.plain_step(spec, batches), batches.epoch(1))
    pairs = [pair for pair in batches.epoch(1) if len(pair[1]) == BATCH][:60]
    for pair in pairs[:5]:
        step(*pair)
    at.sync()
    backlog, began = Backlog(marker(at.device)), time.perf_counter()
    for number, pair in enumerate(pairs[:20]):
        step(*pair)
        backlog.add(number)
    whole = 1e6 * (time.perf_counter() - began) / len(pairs[:20])
    at.sync()
    bare = float("nan")
    if isinstance(step, GraphedStep):
        began = time.perf_counter()
        for _ in pairs:
            step.replay(BATCH)
        bare = 1e6 * (time.perf_counter() - began) / len(pairs)
        at.sync()
    began = time.perf_counter()
    list(batches.epoch(2))
    return {
        "step_us": whole,
        "replay_us": bare,
        "draw_ms": 1e3 * (time.perf_counter() - began),
    }
