"""The tables of keys and settings are what the program itself says."""

from pathlib import Path

from benchmarks.reference import updated
from cifar_tui.spec.checks import SETTINGS
from cifar_tui.tui.keys import KEYS

REFERENCE = Path(__file__).parent.parent / "docs" / "reference.md"


def test_the_tables_of_keys_and_settings_are_current() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    assert updated(text) == text, "run `make docs`"
    for setting in SETTINGS.values():
        assert f"`{setting.flag}" in text
    for key in KEYS:
        assert key.help in text


def test_a_changed_table_is_noticed() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    damaged = text.replace("| `lr` |", "| `learning rate` |")
    assert damaged != text
    assert updated(damaged) == text
