"""The machine: its packages, its disk, and what launches, copies and products cost on its GPU."""

import importlib.util
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu.pieces import Setup
from benchmarks.gpu.results import Results, listed, median

PACKAGES = (
    "pydantic cyclopts textual plotext tomli_w rich psutil pynvml numpy PIL torchvision "
    "pytest pytest_asyncio hypothesis pexpect xdist triton"
)
SMI = (
    "name,driver_version,pstate,clocks.sm,clocks.max.sm,clocks.mem,power.draw,power.limit,"
    "compute_mode,mig.mode.current,ecc.mode.current,memory.total"
)


def facts(found: Results, at: Setup) -> None:
    """All of it."""
    missing = [name for name in PACKAGES.split() if importlib.util.find_spec(name) is None]
    found.line(
        f"python {platform.python_version()}, torch {torch.__version__}, "
        f"CUDA {torch.version.cuda}, {os.cpu_count()} cores; "
        f"missing packages: {', '.join(missing) or 'none'}"
    )
    if shutil.which("nvidia-smi"):
        with found.trying("nvidia-smi"):
            command = ["nvidia-smi", f"--query-gpu={SMI}", "--format=csv,noheader"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            found.line(f"nvidia-smi: {done.stdout.strip()}")
    with found.trying("fsync"):
        milliseconds = 1e3 * median([_write(at.work / "fsync") for _ in range(20)])
        found.line(f"a file of 0.6 MB with fsync: {milliseconds:.2f} ms")
    if at.smoke:
        return
    properties = torch.cuda.get_device_properties(at.device)
    memory = properties.total_memory / 2**30
    found.line(f"{properties.name}, {properties.multi_processor_count} SMs, {memory:.0f} GiB")
    with found.trying("bandwidth and products"):
        _peaks(found, at)
    with found.trying("launches"):
        _launches(found, at)


def _write(path: Path) -> float:
    began = time.perf_counter()
    with path.open("wb") as file:
        file.write(b"x" * 600_000)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


def _on_device(work: Callable[[], object], at: Setup, times: int = 10) -> float:
    """Seconds of one call, by the GPU's own clock."""
    work()
    at.sync()
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began.record()
    for _ in range(times):
        work()
    ended.record()
    at.sync()
    return began.elapsed_time(ended) / 1e3 / times


def _peaks(found: Results, at: Setup) -> None:
    source = torch.randint(255, (1 << 30,), dtype=torch.uint8, device=at.device)
    target = torch.empty_like(source)
    copied = 2 * source.numel() / _on_device(lambda: target.copy_(source), at) / 1e12
    rates = {}
    for name, kind, side in (
        ("fp32", torch.float32, 4096),
        ("tf32", torch.float32, 8192),
        ("bf16", torch.bfloat16, 8192),
    ):
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        a, b = (torch.randn(side, side, device=at.device, dtype=kind) for _ in range(2))
        rates[name] = 2 * side**3 / _on_device(partial(torch.mm, a, b), at) / 1e12
    found.keep("peaks", {"copy_TB_s": copied, "product_TFLOP_s": rates})
    products = listed({name: f"{rate:.0f}" for name, rate in rates.items()})
    found.line(f"copy {copied:.2f} TB/s; products {products} TFLOP/s")


def _launches(found: Results, at: Setup) -> None:
    """Microseconds of a launch from Python, of a node of a graph, of a replay and of an event."""
    numbers = torch.zeros(128, device=at.device)
    stream = torch.cuda.Stream(at.device)

    def chain(length: int) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        at.sync()
        with torch.cuda.graph(graph, stream=stream):
            for _ in range(length):
                numbers.add_(1)
        return graph

    def mark() -> None:
        event = torch.cuda.Event()
        event.record()
        event.query()

    def microseconds(work: Callable[[], object]) -> float:
        return 1e6 * at.seconds(work, most=20_000)

    graphs = {length: chain(length) for length in (1, 60, 300)}
    replays = {length: microseconds(graph.replay) for length, graph in graphs.items()}
    costs = {
        "eager": microseconds(lambda: numbers.add_(1)),
        "node": (replays[300] - replays[60]) / 240,
        "graph of one": replays[1],
        "event": microseconds(mark),
    }
    for length, graph in graphs.items():
        at.sync()
        began = time.perf_counter()
        for _ in range(20):
            graph.replay()
        costs[f"Python's replay of {length}"] = 1e6 * (time.perf_counter() - began) / 20
    at.sync()
    found.keep("launches_us", costs)
    found.line("microseconds: " + listed({name: f"{cost:.2f}" for name, cost in costs.items()}))
