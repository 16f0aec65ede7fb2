"""Runs taken out of the terminal: what stands in the files, and what is refused."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import UserError
from cifar_tui.features.save.core import (
    choose,
    default_path,
    event_bytes,
    file_name,
    save_runs,
    titles,
)
from cifar_tui.features.save.tables import (
    SavedTable,
    curve_table,
    run_table,
    to_csv,
    to_json,
    to_markdown,
)
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.runs.notes import annotate
from cifar_tui.runs.record import Summary
from tests.apps import SaveRun
from tests.apps import save_run as save_run
from tests.conftest import Command
from tests.told import tell


@pytest.fixture
def runs(save_run: SaveRun) -> list[Run]:
    """Two runs that differ in lr and batch norm."""
    folders = [
        save_run((0.5, 0.7182, 0.7), name="high", lr=0.1, batch_norm=True, tags=("a", "b")),
        save_run((0.6, 0.65), name="low", epochs=3, status="stopped"),
    ]
    return [read_run(folder.path) for folder in folders]


def as_demo(folder: Any) -> Run:
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"source": "demo"}))
    return read_run(folder.path)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_command_writes_what_csv_and_json_read_back(
    cifar: Command, runs: list[Run], tmp_path: Path
) -> None:
    done = cifar("runs", "save", "--all", "--runs", "runs")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Table of 2 runs in runs.csv.\n"
    high, low = rows_of((tmp_path / "runs.csv").read_text())
    assert (high["name"], low["name"]) == ("high", "low")
    assert (high["lr"], high["batch_norm"], high["tag"]) == ("0.1", "true", "a,b")
    assert (float(high["val_acc"]), int(high["best_epoch"])) == (0.7182, 2)
    assert low["status"] == "stopped"
    assert "momentum" not in high, "it is the same in both"
    again = cifar("runs", "save", "--all", "--runs", "runs")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    told = cifar(
        *("runs", "save", "low", "high", "--what", "curves", "--runs", "runs"),
        *("--output", "out.json", "--columns", "batch_norm,val_acc", "--json"),
    )
    assert json.loads(told.stdout) == {
        "what": "curves",
        "format": "json",
        "output": "out.json",
        "runs": 2,
        "rows": 5,
        "images": ["course"],
        "synthetic": False,
    }
    epochs = json.loads((tmp_path / "out.json").read_text())
    assert [(e["name"], e["epoch"], e["val_acc"]) for e in epochs] == [
        *(("low", 1, 0.6), ("low", 2, 0.65)),
        *(("high", 1, 0.5), ("high", 2, 0.7182), ("high", 3, 0.7)),
    ]
    assert [e["batch_norm"] for e in epochs] == [False, False, True, True, True]
    assert "train_loss" not in epochs[0]


def test_a_filter_chooses(cifar: Command, runs: list[Run], tmp_path: Path) -> None:
    done = cifar("runs", "save", "--filter", "lr>=0.05 bn", "--runs", "runs")
    assert done.returncode == 0, done.stderr
    assert [row["name"] for row in rows_of((tmp_path / "runs.csv").read_text())] == ["high"]
    none = cifar("runs", "save", "--filter", "lr>5", "--runs", "runs", "--overwrite")
    assert none.returncode == 2


def test_no_run_named_is_said(cifar: Command, tmp_path: Path) -> None:
    done = cifar("runs", "save", "--runs", "runs")
    assert done.returncode == 2
    assert "--all" in done.stderr
    assert not list(tmp_path.glob("*.csv"))


def test_curves_have_full_precision_and_gaps_where_nothing_is_known(save_run: SaveRun) -> None:
    folder = save_run((0.5,), name="one")
    tell(folder, {"event": "epoch", "epoch": 2, "train_loss": None, "val_acc": 1 / 3})
    run = read_run(folder.path)
    first, second = rows_of(to_csv(curve_table([run])))
    assert first["images_per_second"] == "12345.0"
    assert float(second["val_acc"]) == 1 / 3
    assert second["train_loss"] == ""
    assert json.loads(to_json(curve_table([run])))[1]["train_loss"] is None


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_no_text_becomes_a_formula_in_a_spreadsheet(runs: list[Run], text: str) -> None:
    annotate(runs[0].path, note=text)
    table = run_table([read_run(runs[0].path)], ["note", "lr"])
    assert rows_of(to_csv(table)) == [{"note": f"'{text}", "lr": "0.1"}]
    assert json.loads(to_json(table))[0]["note"] == text


def test_numbers_below_zero_stay_numbers() -> None:
    assert to_csv(SavedTable(("x",), [(-0.5,)], (str,))) == "x\n-0.5\n"


def test_markdown_shows_texts_as_they_are(runs: list[Run]) -> None:
    annotate(runs[0].path, note="a|b <b> *c* _d_ val_acc")
    text = to_markdown(run_table([read_run(runs[0].path)], ["note", "val_acc", "l1", "depth"]))
    assert text == (
        "| note | val_acc | l1 | depth |\n| --- | --- | --- | --- |\n"
        "| a\\|b \\<b\\> \\*c\\* \\_d\\_ val_acc | 0.7182 | 0 | - |\n"
    )


def test_demo_runs_say_so_whatever_columns_are_chosen(save_run: SaveRun, tmp_path: Path) -> None:
    run = as_demo(save_run())
    assert run_table([run], ["val_acc"]).names == ("val_acc", "images")
    assert run_table([run], ["val_acc"]).rows[0][-1] == "demo"
    assert {row["images"] for row in rows_of(to_csv(curve_table([run], ["val_acc"])))} == {"demo"}
    saved = save_runs([run], "table", "md", tmp_path)
    assert saved.path == tmp_path / "runs-demo.md"
    assert "synthetic" in saved.sentence()


def test_an_unreadable_run_is_listed_and_adds_no_columns(runs: list[Run], tmp_path: Path) -> None:
    broken = Run(tmp_path / "broken", Summary(id="broken"), problem="spec.toml is missing")
    table = run_table([*runs, broken])
    assert table.names == run_table(runs).names
    assert table.rows[2][table.names.index("status")] == "unreadable"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ((None, None, None), ("table", "csv")),
        ((None, None, "a/curves.svg"), ("figure", "svg")),
        ((None, None, "a.JSON"), ("table", "json")),
        (("curves", None, "a.md"), ("curves", "md")),
        (("curves", None, "a.txt"), ("curves", "csv")),
        (("figure", None, None), ("figure", "png")),
        ((None, "tensorboard", None), ("curves", "tensorboard")),
    ],
)
def test_what_is_not_said_follows_from_what_is(
    asked: tuple[str | None, str | None, str | None], meant: tuple[str, str]
) -> None:
    what, format, output = asked
    assert choose(what, format, Path(output) if output else None) == meant


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(UserError, match="choose png or svg"):
        choose("figure", "csv", None)
    with pytest.raises(UserError, match="curves cannot be saved as png"):
        choose("curves", None, Path("a.png"))


def test_a_figure_has_a_curve_per_run(runs: list[Run], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert titles(runs) == ["high", "low"]
    drawn = save_runs(runs, "figure", "svg", tmp_path / "a.svg").path.read_text()
    assert drawn.startswith("<?xml")
    assert "<!-- high -->" in drawn and "<!-- synthetic demo images -->" not in drawn
    save_runs(runs, "figure", "png", tmp_path)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    mixed = save_runs(
        [runs[0], as_demo(RunFolder(runs[1].path))], "figure", "svg", tmp_path / "m.svg"
    )
    assert "on different images: course, demo." in mixed.sentence()


def test_runs_of_one_name_are_told_apart_by_what_differs(save_run: SaveRun) -> None:
    folders = [save_run(name="same", lr=lr) for lr in (0.1, 0.01)]
    assert titles([read_run(folder.path) for folder in folders]) == ["lr 0.1", "lr 0.01"]


def test_event_files_are_what_tensorboard_reads(runs: list[Run], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    output = tmp_path / "board"
    saved = save_runs(runs, "curves", "tensorboard", output)
    assert "tensorboard --logdir" in saved.sentence()
    read = EventAccumulator(str(output / runs[0].id))
    read.Reload()
    events = read.Scalars("val_acc")
    assert [(e.step, pytest.approx(e.value)) for e in events] == [(1, 0.5), (2, 0.7182), (3, 0.7)]
    assert {"lr", "train_loss", "images_per_second"} <= set(read.Tags()["scalars"])
    content = read.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["lr"].number_value == 0.1
    assert settings["batch_norm"].bool_value is True
    assert settings["images"].string_value == "course"
    with pytest.raises(UserError, match="--overwrite"):
        save_runs(runs, "curves", "tensorboard", output)
    save_runs(runs, "curves", "tensorboard", output, overwrite=True)
    assert [p.name for p in (output / runs[0].id).iterdir()] == [file_name(runs[0])]


def test_an_epochs_time_is_kept(save_run: SaveRun) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    folder = save_run(())
    tell(folder, {"event": "epoch", "epoch": 1, "val_acc": 0.5, "time": 1795465763.25})
    file = folder.path.parent / "events"
    file.write_bytes(event_bytes(read_run(folder.path)))
    times = [Event.FromString(raw).wall_time for raw in RawEventFileLoader(str(file)).Load()]
    assert 1795465763.25 in times


def test_without_tensorboard_it_says_how_to_get_it(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'cifar-tui\[tensorboard\]'"):
        save_runs(runs, "curves", "tensorboard", tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_default_names_say_what_they_hold() -> None:
    assert default_path("table", "csv", False) == Path("runs.csv")
    assert default_path("curves", "tensorboard", True) == Path("tensorboard-demo")
