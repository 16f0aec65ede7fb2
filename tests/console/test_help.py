"""What `--help` shows: typed flags, true examples, sections, and lines that fit."""

import shlex

import pytest

from cifar_tui import cli
from cifar_tui.console.help import EXAMPLES

COMMANDS = sorted(cli.COMMANDS)


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.run([*command.split(), "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["", "runs", "lab", *COMMANDS])
def test_help_fits_and_says_nothing_empty(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(command, capsys)
    assert max(map(len, text.splitlines())) <= 80
    for noise in ("default: ()", 'default: ""', "default: False", "STR", "--empty-"):
        assert noise not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_examples_of_that_command(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = help_of(command, capsys).rpartition("Examples\n")[2].splitlines()
    assert shown
    assert all(line.startswith(f"  cifar-tui {command}") for line in shown)


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_is_understood(line: str) -> None:
    words = shlex.split(line.partition(">")[0] if " > " in line else line)
    cli.app.parse_args(cli.options_last(cli.app, words), exit_on_error=False, print_error=False)


def test_values_of_settings_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("train", capsys)
    for typed in ("--epochs INT", "--lr FLOAT", "--model CHOICE", "--data FOLDER", "--name TEXT"):
        assert typed in text
    assert "one of simplenn, resnet; default simplenn" in " ".join(text.split())


def test_sections_stand_in_a_sensible_order(capsys: pytest.CaptureFixture[str]) -> None:
    titles = [line for line in help_of("train", capsys).splitlines() if line[:1].isalpha()]
    assert titles[-7:] == [
        *("Optimiser", "Schedule", "Record", "Where it trains"),
        *("Who is told when runs end", "With every command", "Examples"),
    ]
    assert titles.index("Options") < titles.index("Data")
    last = help_of("runs list", capsys).partition("With every command")[2]
    assert "--json" in last
    assert "--runs" in last


def test_every_command_has_a_section() -> None:
    placed = {name for names in cli.SECTIONS.values() for name in names}
    own = {name for name in cli.COMMANDS if name.partition(" ")[0] in ("lab", "data", "config")}
    assert set(cli.COMMANDS) - own <= placed
    assert placed <= set(cli.COMMANDS) | set(cli.GROUPS)
