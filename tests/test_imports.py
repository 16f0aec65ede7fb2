"""The arrows between the parts, proven in fresh interpreters."""

import subprocess
import sys

import pytest


def loaded(statement: str, names: tuple[str, ...]) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*(n for n in {names!r} if n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "cli",
        "queue.headless",
        "features.labs.answer",
        "features.labs.launch",
        "console.printing",
        "features.compare.command",
        "features.inspect.command",
        "queue.machine",
        "queue.nodes",
        "data.loading",
        "data.official",
        "queue.train_run",
        "features.inspect.compute",
        "features.predict.compute",
        "queue.queue",
        "models.layer_table",
        "runs.listing",
        "runs.listing",
    ],
)
def test_nothing_below_the_screens_imports_textual_or_plotext(module: str) -> None:
    assert loaded(f"import cifar_tui.{module}", ("textual", "plotext")) == set()


@pytest.mark.parametrize(
    "module",
    [
        "cli",
        "spec.settings",
        "spec.grid",
        "queue.headless",
        "features.labs.answer",
        "features.labs.launch",
        "console.printing",
        "queue.machine",
        "queue.nodes",
        "data.loading",
        "runs.listing",
        "runs.listing",
        "features.compare.core",
        "query.groups",
        "query.filter",
        "query.view",
        "features.effects.study",
        "features.predict.core",
        "features.save.core",
        "features.predict.core",
        "features.predict.core",
        "features.archive.core",
        "runs.disk",
        "features.inspect.core",
        "features.inspect.tables",
        "features.inspect.screen",
        "queue.queue",
        "queue.processes",
        "app",
        "start",
    ],
)
def test_what_reads_runs_or_paints_first_imports_no_torch(module: str) -> None:
    assert loaded(f"import cifar_tui.{module}", ("torch", "torchvision")) == set()


def test_the_first_screen_needs_little() -> None:
    heavy = ("numpy", "cyclopts", "plotext", "psutil", "pynvml", "cifar_tui.cli")
    assert loaded("import cifar_tui.__main__, cifar_tui.start", heavy) == set()


def test_training_does_not_import_torchvision() -> None:
    assert loaded("import cifar_tui.queue.train_run", ("torchvision",)) == set()
