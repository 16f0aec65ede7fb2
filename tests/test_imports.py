"""The arrows between the parts, proven in fresh interpreters."""

import subprocess
import sys

WITHOUT_SCREENS = (
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
)
WITHOUT_TORCH = (
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
    "features.compare.core",
    "query.groups",
    "query.filter",
    "query.view",
    "features.effects.study",
    "features.predict.core",
    "features.save.core",
    "features.archive.core",
    "runs.disk",
    "features.inspect.core",
    "features.inspect.tables",
    "features.inspect.screen",
    "queue.queue",
    "queue.processes",
    "app",
    "start",
)
CODE = """
import importlib, sys
for module in {modules!r}:
    importlib.import_module(f"cifar_tui.{{module}}")
    if found := [name for name in {unwanted!r} if name in sys.modules]:
        print(module, "imports", *found)
        break
"""


def imported(modules: tuple[str, ...], unwanted: tuple[str, ...]) -> str:
    """The first of the modules that imports what is unwanted, and what that is."""
    code = CODE.format(modules=modules, unwanted=unwanted)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_nothing_below_the_screens_imports_textual_or_plotext() -> None:
    assert imported(WITHOUT_SCREENS, ("textual", "plotext")) == ""


def test_what_reads_runs_or_paints_first_imports_no_torch() -> None:
    assert imported(WITHOUT_TORCH, ("torch", "torchvision")) == ""


def test_the_first_screen_needs_little() -> None:
    heavy = ("numpy", "cyclopts", "plotext", "psutil", "pynvml", "cifar_tui.cli")
    assert imported(("__main__", "start"), heavy) == ""


def test_training_does_not_import_torchvision() -> None:
    assert imported(("queue.train_run",), ("torchvision",)) == ""


def test_what_is_imported_in_vain_is_named() -> None:
    assert (
        imported(("text", "queue.train_run", "cli"), ("torch",))
        == "queue.train_run imports torch\n"
    )
