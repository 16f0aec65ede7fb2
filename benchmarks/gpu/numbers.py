"""The same numbers, whatever computes them: the GPU tests, and comparisons at full size."""

import io
import subprocess
import sys
import threading
import xml.etree.ElementTree as xml
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.gpu.pieces import MIXED, Setup, apart, drive
from benchmarks.gpu.results import Results
from cifar_tui.data.dataset import Dataset
from cifar_tui.queue.machine import snapshot
from cifar_tui.runs.events import EpochDone, RunEvent
from cifar_tui.training.batches import TrainBatches
from cifar_tui.training.checkpoint import Checkpoint, load
from cifar_tui.training.device import check_run, set_precision
from cifar_tui.training.graphed import GraphedStep, make_step
from cifar_tui.training.trainer import train

Losses = list[tuple[float, float]]
SHOWN = 16


def tests(found: Results, at: Setup) -> None:
    """The project's tests that need a GPU."""
    report = at.work / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    command += ["--tb=short", f"--junitxml={report}", "tests/training/test_gpu.py"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    print(done.stdout[-60_000:], done.stderr[-4000:], flush=True)
    failed, skipped, passed = [], 0, 0
    for case in xml.parse(report).getroot().iter("testcase"):
        kinds = {child.tag: child for child in case}
        bad = next((kinds[kind] for kind in ("failure", "error") if kind in kinds), None)
        if bad is not None:
            failed.append(f"{case.get('name')}: {(bad.get('message') or '')[:120]!r}")
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed += 1
    found.line(f"tests: {passed} passed, {len(failed)} failed, {skipped} skipped")
    for text in failed[:SHOWN]:
        found.wrong(text)


def agree(found: Results, at: Setup) -> None:
    """The engine's ways of training against each other."""
    data = at.dataset(MIXED)
    _graphs_and_plain(found, at, data)
    for model in at.pick(["simplenn-bn", "resnet20"], ["simplenn-bn"]):
        with found.trying(f"resume {model}"):
            _resume(found, at, data, model)
    if at.smoke:
        return
    with found.trying("a capture beside NVML"):
        _beside_nvml(found, at, data)
    with found.trying("errors of the precisions"):
        _precisions(found, at)
    with found.trying("flags of another run"):
        set_precision(at.spec(precision="fp32"), at.device)
        check_run(at.spec(precision="tf32"))
        kept = not torch.backends.cudnn.allow_tf32
        found.check(kept, "an fp32 run stays one while a tf32 run is queued")
    with found.trying("the CPU and the GPU"):
        spec = at.spec("simplenn-bn", epochs=3)
        here, there = (_losses(spec, data, torch.device(d)) for d in ("cuda:0", "cpu"))
        gap = _largest(here, there)
        found.check(gap < 1e-2, f"CPU and GPU, simplenn-bn fp32, 3 short epochs: apart {gap:.2g}")
    if torch.cuda.device_count() > 1:
        with found.trying("a second GPU"):
            loss = _losses(at.spec(epochs=1), data, torch.device("cuda", 1))[0][0]
            found.check(loss > 0, f"cuda:1 without a slot: train_loss {loss:.4f}")


def _graphs_and_plain(found: Results, at: Setup, data: Dataset) -> None:
    variants: list[tuple[str, dict[str, Any]]] = []
    for model in ("simplenn", "simplenn-bn", "resnet20"):
        for precision in at.precisions:
            variants.append((model, {"precision": precision}))
            variants.append((model, {"precision": precision, "dropout": 0.3, "l1": 1e-4}))
    variants += [
        ("simplenn-bn-swish", {}),
        ("resnet20-B-swish", {"precision": "bf16"}),
        ("simplenn", {"momentum": 0.0}),
        ("resnet20", {"nesterov": True}),
        ("simplenn", {"augment": False, "batch_size": 64}),
    ]
    if at.smoke:
        variants = [variants[1], variants[-1]]
    equal = 0
    decay = {"schedule": "step", "decay_every": 1, "decay_factor": 0.5}
    for model, more in variants:
        name = " ".join([model, *(f"{key}={value}" for key, value in more.items())])
        with found.trying(name):
            spec = at.spec(model, **decay, **more)
            batches = TrainBatches(data.train, spec, at.device)
            plain, other = (at.plain_step(spec, batches) for _ in range(2))
            step, remark = make_step(other, batches.epoch(1))
            theirs, ours = (
                drive(s, p, batches, spec, 3) for s, p in ((plain, plain), (step, other))
            )
            same, most = apart(other.model.state_dict(), plain.model.state_dict())
            graphed = at.smoke or isinstance(step, GraphedStep)
            if graphed and same and theirs == ours:
                equal += 1
            else:
                found.wrong(f"{name}: weights apart {most:.2g}, losses {theirs} {ours} {remark}")
    text = f"graphed = plain, 3 epochs of both sizes: {equal} of {len(variants)} bit-equal"
    found.line(text)


class _Kept(dict[int, bytes]):
    """The checkpoints of a run by their epoch."""

    def __call__(self, checkpoint: Checkpoint, is_best: bool) -> None:
        self[checkpoint.epoch] = checkpoint.to_bytes()

    def read(self, epoch: int, at: Setup) -> Checkpoint:
        path = at.work / "kept.pt"
        path.write_bytes(self[epoch])
        return load(path)


def _ignore(checkpoint: Checkpoint, is_best: bool) -> None:
    """Keep no checkpoint."""


def _quiet(*_: object) -> float:
    return 0.0


def _losses(
    spec: Any,
    data: Dataset,
    device: torch.device,
    keep: Callable[[Checkpoint, bool], None] = _ignore,
    resume: Checkpoint | None = None,
) -> Losses:
    return _of(train(spec, data, device, _quiet, keep, resume))


def _of(events: Iterable[RunEvent]) -> Losses:
    epochs = (event for event in events if isinstance(event, EpochDone))
    return [(e.train_loss or 0.0, e.val_loss or 0.0) for e in epochs]


def _largest(a: Losses, b: Losses) -> float:
    pairs = zip(a, b, strict=True)
    return max(abs(x - y) for one, other in pairs for x, y in zip(one, other, strict=True))


def _resume(found: Results, at: Setup, data: Dataset, model: str) -> None:
    spec, kept = at.spec(model, epochs=4, dropout=0.2), _Kept()
    whole = _losses(spec, data, at.device, kept)
    rest = _losses(spec, data, at.device, _ignore, kept.read(2, at))
    found.check(whole[2:] == rest, f"resume after 2 of 4 epochs, {model}: {whole[2:]} {rest}")
    content = torch.load(io.BytesIO(kept[2]), weights_only=True)
    momentum = [s["momentum_buffer"] for s in content["optimiser"]["state"].values()]
    where = {str(tensor.device) for tensor in [*content["state_dict"].values(), *momentum]}
    found.check(where == {"cpu"}, f"its checkpoint's tensors are on {', '.join(sorted(where))}")


def _beside_nvml(found: Results, at: Setup, data: Dataset) -> None:
    """Capture in a thread while another asks NVML all the time, as the screen does."""
    import pynvml

    over, failed, looks = threading.Event(), list[str](), 0

    def look() -> None:
        nonlocal looks
        while not over.is_set():
            snapshot(pynvml)
            looks += 1

    def work() -> None:
        try:
            spec = at.spec("resnet20", precision="bf16")
            batches = TrainBatches(data.train, spec, at.device)
            plain = at.plain_step(spec, batches)
            step, remark = make_step(plain, batches.epoch(1))
            drive(step, plain, batches, spec, 2)
            failed.extend([remark] if remark else [])
        except Exception as error:  # to be told by the other thread
            failed.append(repr(error))

    threads = [threading.Thread(target=target) for target in (look, work)]
    for thread in threads:
        thread.start()
    threads[1].join()
    over.set()
    threads[0].join()
    text = f"captured in a thread beside {looks} looks by NVML"
    found.check(not failed, " ".join([text, *failed]))


def _precisions(found: Results, at: Setup) -> None:
    torch.manual_seed(0)
    layer, fc = nn.Conv2d(16, 32, 3, padding=1).double(), nn.Linear(512, 256).double()
    x, v = torch.randn(64, 16, 32, 32).double(), torch.randn(64, 512).double()
    exact = [layer(x).detach(), fc(v).detach()]
    layer, fc = layer.float().to(at.device), fc.float().to(at.device)
    x, v = x.float().to(at.device), v.float().to(at.device)
    for precision, most in (("fp32", 1e-5), ("tf32", 2e-3)):
        set_precision(at.spec(precision=precision), at.device)
        got = [layer(x).detach().double().cpu(), fc(v).detach().double().cpu()]
        errors = [float((g - e).norm() / e.norm()) for g, e in zip(got, exact, strict=True)]
        text = f"error of {precision} against fp64: convolution {errors[0]:.1e}, product "
        found.check(max(errors) < most, f"{text}{errors[1]:.1e}")
