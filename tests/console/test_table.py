"""What commands print as tables: whole in a pipe, a line per row on a terminal of any width."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from cifar_tui import cli
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from tests.apps import save_run as save_run

Printed = Callable[..., list[str]]
LABEL = "a long name of a run that has many words in it"


@pytest.fixture
def ids(save_run: Callable[..., RunFolder]) -> list[str]:
    """Six runs with long names."""
    return [
        save_run(name=f"{LABEL} lr {lr}", lr=lr, seed=seed, batch_norm=True, subset=2000).id
        for lr in (0.1, 0.01)
        for seed in (0, 1, 2)
    ]


@pytest.fixture
def printed(
    ids: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Printed:
    """Run a command over these runs, on so many columns or in a pipe; the lines of its output."""

    def run(*arguments: str, columns: int | None = None) -> list[str]:
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", str(columns))
        assert cli.run([*arguments, "--runs", str(tmp_path / "runs")]) == 0
        return capsys.readouterr().out.splitlines()

    return run


def test_in_a_pipe_each_run_is_a_line_that_begins_with_its_id(
    printed: Printed, ids: list[str]
) -> None:
    head, *rows, _ = printed("runs", "list")
    assert head.split()[0] == "id"
    assert [row.split()[0] for row in rows] == ids
    assert all(f"{LABEL} lr 0." in row and " 2/2 " in row for row in rows)


@pytest.mark.parametrize("columns", [40, 60, 80, 140])
def test_on_a_terminal_each_run_is_a_line_from_which_it_can_be_named(
    printed: Printed, ids: list[str], columns: int
) -> None:
    rows = [line for line in printed("runs", "list", columns=columns) if "finished" in line]
    assert len(rows) == len(ids)
    assert all(cell_len(row) <= columns for row in rows)
    for row, run_id in zip(rows, ids, strict=True):
        assert printed("runs", "show", row.split()[0])[1].split() == ["id", run_id]


@pytest.mark.parametrize("columns", [60, 80, 140])
@pytest.mark.parametrize(
    ("command", "begins"),
    [
        ("lab list", ["lab1-", "lab2-", "lab3-", "lesson-"]),
        ("runs list --columns name,lr,seed,subset,settings,started,val_acc", ["a lo"]),
        ("runs list --group-by lr", ["lr 0."]),
        ("runs compare best last", ["a lo"]),
        ("runs compare best last --metric val_acc", ["a lo"]),
        ("runs stats", ["0.1 ", "0.01 "]),
    ],
)
def test_no_row_of_a_table_is_broken(
    printed: Printed, command: str, begins: list[str], columns: int
) -> None:
    def rows(columns: int | None) -> list[str]:
        lines = printed(*command.split(), columns=columns)
        return [line for line in lines if line.startswith(tuple(begins))]

    assert len(rows(columns)) == len(rows(None)) > 0
    assert all(cell_len(row) <= columns for row in rows(columns))


@pytest.mark.parametrize("columns", [60, 80, 140])
@pytest.mark.parametrize("command", ["runs compare best last", "runs list", "lab list"])
def test_heads_of_columns_are_whole_or_the_column_has_no_room(
    printed: Printed, save_run: Callable[..., RunFolder], command: str, columns: int
) -> None:
    save_run((0.1,), augment=True, momentum=0.5, dropout=0.1, activation="swish", epochs=100)
    lines = printed(*command.split(), columns=columns)
    head = next(line for line in lines if line.split()[0] in ("run", "id", "lab"))
    assert "…" not in head
    if command == "runs compare best last":
        told = " ".join(lines)
        assert all(name in told for name in ("aug", "momentum", "dropout", "act", "status"))


def test_what_has_no_room_is_named_and_what_says_synthetic_has(
    printed: Printed, save_run: Callable[..., RunFolder]
) -> None:
    assert "No room for name, seed." in printed("runs", "list", columns=60)
    assert not any("No room" in line for line in printed("runs", "list", columns=200))
    folder = save_run(name="on the demo set")
    folder.write_summary(read_run(folder.path).summary.model_copy(update={"source": "demo"}))
    for command in ("runs list", "runs list --columns id,lr,settings,val_acc,started"):
        rows = printed(*command.split(), columns=50)
        assert "demo" in next(row for row in rows if row.startswith(folder.id[:22]))
