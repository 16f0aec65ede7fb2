"""Runs the parts, each as a process of its own, and prints what they found as one table."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
NO_GPU = (
    "There is no NVIDIA GPU here that torch can use: nothing was measured "
    "(--smoke runs all parts on the CPU with tiny sizes)."
)


@dataclass(frozen=True)
class Part:
    """A function's module; the most seconds it may take, and the least to be worth a start."""

    module: str
    most: int
    least: int


BESIDE = {
    "tests": Part("numbers", 150, 20),
    "agree": Part("numbers", 170, 20),
    "kill": Part("program", 130, 20),
}
"""Parts that only compare numbers, and so run side by side."""
IN_TURN = {
    "facts": Part("facts", 70, 10),
    "simplenn": Part("speed", 75, 15),
    "resnet": Part("speed", 100, 20),
    "run": Part("program", 75, 20),
    "script": Part("speed", 80, 25),
    "kernels": Part("kernels", 70, 15),
    "six": Part("designs", 100, 20),
    "orders": Part("program", 45, 15),
    "two": Part("program", 70, 25),
    "designs": Part("designs", 130, 25),
    "bench": Part("program", 100, 45),
}
"""Parts that measure time, and so run one after another."""
PARTS = BESIDE | IN_TURN


def main() -> int:
    """Run the parts that are asked for; returns 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--data", type=Path, help="the images' folder; random ones without it")
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="folder for figures")
    parser.add_argument("--seconds", type=float, default=450, help="time for all parts")
    parser.add_argument("--only", default="", help=f"parts of {', '.join(PARTS)}")
    parser.add_argument("--skip", default="", help="parts to leave out")
    parser.add_argument("--smoke", action="store_true", help="try all parts on the CPU")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        return run_part(given.part, given.work, given.data, given.smoke)
    only, skip = (set(filter(None, names.split(","))) for names in (given.only, given.skip))
    if unknown := (only | skip) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if not (given.smoke or has_gpu()):
        print(NO_GPU)
        return 0
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        wanted = [name for name in PARTS if name not in skip and (not only or name in only)]
        return Bench(Path(folder), given.data, given.out, given.smoke, given.seconds).run(wanted)


def has_gpu() -> bool:
    """Whether torch can use an NVIDIA GPU; asked in a process that lets go of it again."""
    asked = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


def run_part(name: str, work: Path, data: Path, smoke: bool) -> int:
    """Run one part in this process."""
    from importlib import import_module

    from cifar_tui.training.process import prepare_process

    prepare_process()
    from benchmarks.gpu.pieces import Setup
    from benchmarks.gpu.results import Results

    found = Results(work / f"{name}.json")
    with found.trying(name):
        part: Callable[..., None] = getattr(
            import_module(f"benchmarks.gpu.{PARTS[name].module}"), name
        )
        part(found, Setup(work, data, smoke))
    return 0


class Bench:
    """All parts of one call, and what they found."""

    def __init__(
        self, work: Path, data: Path | None, out: Path, smoke: bool, seconds: float
    ) -> None:
        self._work = work
        self._data = data.resolve() if data else work / "data"
        self._smoke = smoke
        self._out = out
        self._seconds = seconds
        self._began = time.monotonic()
        self._found: dict[str, dict[str, Any]] = {}
        if data is None:
            write_random_images(self._data, smoke)

    def run(self, wanted: list[str]) -> int:
        """Run the parts, keep their figures, print the table; returns 1 when one was wrong."""
        self._out.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        beside = [(name, self._start(name)) for name in wanted if name in BESIDE]
        for name, process in beside:
            self._finish(name, process, began)
        for name in wanted:
            if name in BESIDE:
                continue
            left = self._left
            if left < PARTS[name].least:
                self._found[name] = {"how": f"not begun: {max(0.0, left):.0f} s left", "lines": []}
                continue
            self._finish(name, self._start(name), time.monotonic())
        self._print()
        return 1 if any(found.get("errors") for found in self._found.values()) else 0

    @property
    def _left(self) -> float:
        return self._began + self._seconds - time.monotonic()

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        work = self._work / name
        work.mkdir()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        if self._smoke:
            environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-m", "benchmarks.gpu", "--part", name, "--work", str(work)]
        command += ["--data", str(self._data)] + (["--smoke"] if self._smoke else [])
        with (work / "log.txt").open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def _finish(self, name: str, process: "subprocess.Popen[bytes]", began: float) -> None:
        """Wait for a part until its time is over, then end it with all that it started."""
        most = began + PARTS[name].most - time.monotonic()
        cut_off = False
        try:
            process.wait(max(1.0, self._left if self._smoke else min(most, self._left)))
        except subprocess.TimeoutExpired:
            cut_off = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        seconds = time.monotonic() - began
        work = self._work / name
        try:
            found = json.loads((work / f"{name}.json").read_text())
        except OSError:
            found = {"lines": [], "errors": []}
        log = (work / "log.txt").read_text(errors="replace")
        if cut_off and self._smoke:
            found["errors"].append("cut off")
        elif code and not cut_off:
            last = (log.strip().splitlines() or ["no reason given"])[-1][:160]
            found["errors"].append(last)
            found["lines"].append(f"WRONG ended with code {code}: {last}")
        found["how"] = f"cut off after {seconds:.0f} s" if cut_off else f"{seconds:.1f} s"
        self._found[name] = found
        print(f"[{name}] {found['how']}", flush=True)
        for line in found["lines"]:
            print("   ", line, flush=True)
        whole = {"smoke": self._smoke, "commit": commit(), "parts": self._found}
        (self._out / "results.json").write_text(json.dumps(whole, indent=1))
        (self._out / f"{name}.log").write_text(log[-1_000_000:])

    def _print(self) -> None:
        width = shutil.get_terminal_size((160, 24)).columns
        print("\n" + "=" * min(width, 100))
        for name, found in self._found.items():
            print(f"[{name}] {found['how']}")
            for line in found["lines"]:
                print(" ", line[: max(80, width) - 2])
        seconds = time.monotonic() - self._began
        print(f"{seconds:.0f} s in all; figures in {self._out / 'results.json'}")


def commit() -> str:
    """The commit that is checked out, if any."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def write_random_images(folder: Path, smoke: bool) -> None:
    """Images in the course's layout, as many, whose red channel tells the label."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    counts = (1400, 200, 100) if smoke else (45_000, 5_000, 10_000)
    for name, count in zip(("train", "val", "test"), counts, strict=True):
        images = chance.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        labels = chance.integers(0, 10, count)
        images[:, :, :, 0] = (labels * 25)[:, None, None]
        np.save(folder / f"{name}-images-batch.npy", images)
        if name != "test":
            np.save(folder / f"{name}-labels-batch.npy", labels)


if __name__ == "__main__":
    sys.exit(main())
