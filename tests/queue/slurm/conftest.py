"""A real Slurm, where `make test-slurm` asks for one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.queue.slurm.cluster import missing, one_machine


@pytest.fixture(scope="session", autouse=True)
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Daemons of this machine alone, and the environment in which its commands find them."""
    if not os.environ.get("CIFAR_TUI_TEST_SLURM"):
        pytest.skip("make test-slurm tries a real Slurm")
    assert not missing(), missing()
    with (
        one_machine(tmp_path_factory.mktemp("slurm")) as environment,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in ("SLURM_CONF", "PATH"):
            patch.setenv(name, environment[name])
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
