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
        "headless",
        "labs.answer",
        "labs.launch",
        "commands.printing",
        "commands.printing_compare",
        "commands.printing_evaluation",
        "devices",
        "cluster",
        "data",
        "data.download",
        "training.perform",
        "training.evaluation",
        "training.export",
        "training.ensemble",
        "training.agree",
        "backends.worker",
        "models.summary",
        "runs.listing",
        "runs.follow",
    ],
)
def test_nothing_below_the_screens_imports_textual_or_plotext(module: str) -> None:
    assert loaded(f"import cifar_tui.{module}", ("textual", "plotext")) == set()


@pytest.mark.parametrize(
    "module",
    [
        "cli",
        "spec",
        "grid",
        "headless",
        "labs.answer",
        "labs.launch",
        "commands.printing",
        "devices",
        "cluster",
        "data",
        "runs.listing",
        "runs.follow",
        "runs.compare",
        "runs.groups",
        "runs.query",
        "runs.view",
        "effects.study",
        "runs.predictions",
        "runs.save",
        "runs.agreement",
        "runs.provenance",
        "runs.archive",
        "runs.unarchive",
        "runs.space",
        "runs.evaluation",
        "findings",
        "ui.run",
        "backends.worker",
        "ui.app",
        "ui.launch",
    ],
)
def test_what_reads_runs_or_paints_first_imports_no_torch(module: str) -> None:
    assert loaded(f"import cifar_tui.{module}", ("torch", "torchvision")) == set()


def test_the_first_screen_needs_little() -> None:
    heavy = ("numpy", "cyclopts", "plotext", "psutil", "pynvml", "cifar_tui.cli")
    assert loaded("import cifar_tui.__main__, cifar_tui.ui.launch", heavy) == set()


def test_training_does_not_import_torchvision() -> None:
    assert loaded("import cifar_tui.training.perform", ("torchvision",)) == set()
