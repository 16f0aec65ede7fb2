"""How many kernels a step takes, how long the GPU waits between them, and which take longest."""

import json
import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.pieces import Setup
from benchmarks.gpu.results import Results
from cifar_tui.training.batches import PlainBatches, TrainBatches
from cifar_tui.training.graphed import make_step
from cifar_tui.training.step import evaluate

LONGEST = 4


def kernels(found: Results, at: Setup) -> None:
    """A graphed step of each net and precision; in fp32 also the plain one and the validation."""
    data, steps = at.dataset(), at.pick(20, 2)
    for model in at.pick(["simplenn", "simplenn-bn", "resnet20"], ["simplenn"]):
        for precision in ("fp32",) if model == "simplenn-bn" or at.smoke else at.precisions:
            with found.trying(f"kernels {model} {precision}"):
                spec = at.spec(model, precision=precision)
                batches = TrainBatches(data.train, spec, at.device)
                plain = at.plain_step(spec, batches)
                step, _ = make_step(plain, batches.epoch(1))
                batch = next(batches.epoch(1))
                _tell(found, f"{model} {precision} graphed", seen(partial(step, *batch), steps, at))
                if precision != "fp32":
                    continue
                _tell(found, f"{model} plain step", seen(partial(plain, *batch), steps, at))
                check = PlainBatches(data.val, spec, at.device)
                whole = partial(evaluate, plain.model, check, spec, at.device)
                _tell(found, f"{model} validation", seen(whole, 2, at))


def _tell(found: Results, name: str, row: dict[str, Any]) -> None:
    found.keep(name, row)
    found.line(
        f"{name}: {row['kernels']:.0f} kernels ({row['short']:.0f} under 3 us), {row['us']:.0f} us "
        f"of which busy {row['busy_us']:.0f}, idle {100 * row['idle']:.0f} %"
    )
    for kernel, times, microseconds in row["longest"][:LONGEST]:
        found.line(f"    {microseconds:7.1f} us {times:5.1f}x {kernel[:80]}")


def seen(work: Callable[[], object], times: int, at: Setup) -> dict[str, Any]:
    """Kernels, busy and idle time of one call, from torch's profiler.

    The whole time is measured without it, as it widens the gaps between kernels.
    """
    microseconds = 1e6 * at.seconds(work, least=0.2)
    kinds = [ProfilerActivity.CPU] + ([] if at.smoke else [ProfilerActivity.CUDA])
    with profile(activities=kinds) as profiler:
        for _ in range(times):
            work()
        at.sync()
    path = at.work / "trace.json"
    profiler.export_chrome_trace(str(path))
    wanted = ("cpu_op",) if at.smoke else ("kernel", "gpu_memcpy", "gpu_memset")
    events = json.loads(path.read_text())["traceEvents"]
    found = [event for event in events if event.get("cat") in wanted and "dur" in event]
    path.unlink()
    count, spent = Counter[str](), Counter[str]()
    busy, end = 0.0, -math.inf
    for event in sorted(found, key=lambda event: event["ts"]):
        began, ended = event["ts"], event["ts"] + event["dur"]
        busy += max(0.0, ended - max(began, end))
        end = max(end, ended)
        count[event["name"]] += 1
        spent[event["name"]] += event["dur"]
    return {
        "kernels": len(found) / times,
        "us": microseconds,
        "busy_us": busy / times,
        "idle": max(0.0, 1 - busy / times / microseconds),
        "short": sum(event["dur"] < 3 for event in found) / times,
        "longest": [
            [name, count[name] / times, total / times] for name, total in spent.most_common(16)
        ],
    }
