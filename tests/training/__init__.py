"""A finished run on the demo set, trained once for all that need one; checkpoints read back."""

import tempfile
from pathlib import Path

import pytest

from cifar_tui.queue.train_run import perform
from cifar_tui.runs.folder import RunFolder
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.checkpoint import Checkpoint, load


def demo_runs(factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one epoch of SimpleNN on the demo set, made on the first call."""
    runs = factory.getbasetemp() / "demo-runs"
    if not runs.exists():
        spec = RunSpec(data="demo", epochs=1, lr=0.05, device="cpu", name="tiny")
        assert perform(RunFolder.create(runs, spec)).status == "finished"
    return runs


def read(content: bytes) -> Checkpoint:
    """A checkpoint as it is after having been written and read."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "last.pt").write_bytes(content)
        return load(Path(folder) / "last.pt")
