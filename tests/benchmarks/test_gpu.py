"""The parts of the GPU benchmark that need no other process, on the CPU with tiny sizes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
QUICK = ("agree", "facts", "simplenn", "kernels", "designs")


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
def test_the_parts_run_and_find_nothing_wrong(tmp_path: Path) -> None:
    done = benchmark("--smoke", "--out", str(tmp_path), "--only", ",".join(QUICK))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "WRONG" not in done.stdout
    parts = json.loads((tmp_path / "results.json").read_text())["parts"]
    assert set(parts) == set(QUICK)
    assert all(found["lines"] and not found["errors"] for found in parts.values())
    assert "2 of 2 bit-equal" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_sentence_says_so() -> None:
    done = benchmark()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("There is no NVIDIA GPU here that torch can use")
    assert len(done.stdout.splitlines()) == 1
