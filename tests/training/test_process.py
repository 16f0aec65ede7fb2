"""Settings of the process: cores counted as the system grants them, and the user's word first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cifar_tui.data.demo import draw_demo
from cifar_tui.training.device import describe_environment
from cifar_tui.training.process import usable_cores

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", CORES),
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),
        (f"{CORES * 900_000} 100000\n", CORES),
        ("rubbish", CORES),
    ],
)
def test_a_containers_share_limits_the_threads(tmp_path: Path, text: str, cores: int) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert usable_cores(quota) == cores
    assert usable_cores(tmp_path / "missing") == CORES


@pytest.mark.parametrize(
    "given",
    [
        {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "7", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"},
        pytest.param({}, marks=pytest.mark.slow),
    ],
)
def test_what_the_user_has_set_wins(given: dict[str, str]) -> None:
    names = "['GOMP_SPINCOUNT'], os.environ['CUDA_DEVICE_ORDER']"
    told = f"import os, torch; print(torch.get_num_threads(), os.environ{names})"
    code = f"from cifar_tui.training.process import prepare_process as p; p(); {told}"
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "CUDA_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean | given, capture_output=True, text=True, check=True
    )
    threads, spin, order = done.stdout.split()
    assert int(threads) == int(given.get("OMP_NUM_THREADS", usable_cores()))
    assert spin == given.get("GOMP_SPINCOUNT", "20000")
    assert order == given.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def test_a_repository_without_a_commit_has_none_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    assert describe_environment(draw_demo(), torch.device("cpu"))["git"] is None
