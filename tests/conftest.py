"""Small real things that many tests use: a tiny course folder and a way to run the command."""

import functools
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import textual.app
import textual.pilot

from cifar_tui.data import demo
from tests.apps import make_app, save_run  # noqa: F401 - fixtures for all
from tests.forked import ForkedCommand

demo.draw_demo = functools.cache(demo.draw_demo)
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


def pytest_collection_finish() -> None:
    """Look for garbage rarely: with torch and Textual there is much that never becomes any."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def tiny_course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the course's layout: 600/200/100 images cut from the demo set."""
    folder = tmp_path_factory.mktemp("course")
    whole = demo.draw_demo()
    for name, count in (("train", 600), ("val", 200), ("test", 100)):
        split = getattr(whole, name)
        np.save(folder / f"{name}-images-batch.npy", split.images[:count])
        if name != "test":
            np.save(folder / f"{name}-labels-batch.npy", split.labels[:count].astype(np.uint8))
    return folder


@pytest.fixture(scope="session", autouse=True)
def no_idle_second() -> Iterator[None]:
    """Have Textual wait for idleness after a key, but not a second: a thread may be training."""
    briefly = functools.partial(textual.pilot.wait_for_idle, max_sleep=0.25)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textual.app, "wait_for_idle", briefly)
        patch.setattr(textual.pilot, "wait_for_idle", briefly)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_columns() -> Iterator[None]:
    """Have commands print whole lines, whatever width the tests themselves run in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take turns on the device among these tests only, not with what else runs here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAR_TUI_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave the configuration of whoever runs the tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def cifar_in() -> Command:
    """Run `cifar-tui` in a folder, as a process that need not import it."""

    def run(
        folder: Path, *arguments: object, env: Mapping[str, str] = os.environ
    ) -> subprocess.CompletedProcess[str]:
        argv = [str(argument) for argument in arguments]
        process = ForkedCommand(argv, folder, env)
        out, err = process.communicate()
        return subprocess.CompletedProcess(argv, process.wait(), out, err)

    return run


@pytest.fixture
def cifar(cifar_in: Command, tmp_path: Path) -> Command:
    """Run `cifar-tui` in an empty folder, as a process that need not import it."""
    return functools.partial(cifar_in, tmp_path)


@pytest.fixture
def fresh_cifar(tmp_path: Path) -> Command:
    """Run `python -m cifar_tui` in an empty folder, where it matters what is imported and how."""

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cifar_tui", *map(str, arguments)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            timeout=300,
            check=False,
            **options,
        )

    return run


def json_lines(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a text, one per line."""
    return [json.loads(line) for line in text.splitlines()]
