"""A name means one thing: modules and classes are called once in the package."""

import ast
from collections import Counter
from pathlib import Path

import cifar_tui

PACKAGE = Path(cifar_tui.__file__).parent
ROLES = {"__init__", "core", "compute", "tables", "screen", "dialog", "command"}
"""The few names that stand in every feature's folder."""
LONGEST_MODULE, MOST_MODULES = 400, 14


def test_a_module_is_called_once() -> None:
    names = Counter(p.stem for p in PACKAGE.rglob("*.py") if p.stem not in ROLES)
    assert [name for name, count in names.items() if count > 1] == []


def test_a_class_is_called_once() -> None:
    found = Counter(
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in found.items() if count > 1] == []


def test_modules_and_folders_can_be_held() -> None:
    long = [p.name for p in PACKAGE.rglob("*.py") if p.read_text().count("\n") > LONGEST_MODULE]
    full = [p.name for p in PACKAGE.rglob("") if len(list(p.glob("*.py"))) > MOST_MODULES]
    assert (long, full) == ([], [])
