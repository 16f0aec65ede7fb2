"""The command line as programs use it: a process, its streams and its exit code."""

import csv
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifar_tui import cli
from cifar_tui.runs.folder import RunFolder
from tests.apps import save_run as save_run
from tests.conftest import Command, json_lines
from tests.forked import ForkedCommand


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_course: Path, cifar_in: Command
) -> tuple[Path, list[dict]]:
    """A runs folder with two real runs, and what training the second printed."""
    folder = tmp_path_factory.mktemp("saved")
    usual = ("train", "--data", tiny_course, "--runs", "runs", "--epochs", "2", "--json")
    first = cifar_in(folder, *usual, "--name", "first", "--lr", "0.05")
    second = cifar_in(folder, *usual, "--name", "second", "--batch-norm", "--augment")
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    return folder / "runs", json_lines(second.stdout)


def test_train_prints_the_events_as_json_lines(trained: tuple[Path, list[dict]]) -> None:
    events = trained[1]
    kinds = ["start", "epoch", "checkpoint", "epoch", "checkpoint", "end"]
    assert [e["event"] for e in events] == kinds
    assert events[0]["initial_loss"] == pytest.approx(2.3026, abs=0.2)
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1, 2]
    summary = events[-1]["summary"]
    assert summary["status"] == "finished"
    assert summary["epochs_done"] == 2
    assert summary["best"]["val_acc"] == max(e["val_acc"] for e in events if e["event"] == "epoch")
    assert summary["spec"]["batch_norm"] is True
    assert summary["source"] == "course"


def test_the_run_folder_holds_what_the_design_promises(trained: tuple[Path, list[dict]]) -> None:
    folder = sorted(trained[0].iterdir())[-1]
    names = {p.name for p in folder.iterdir()}
    assert names >= {"spec.toml", "meta.json", "events.jsonl", "summary.json", "progress.json"}
    assert names >= {"best.pt", "last.pt"}
    assert not [n for n in names if n.startswith(".")]
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["dataset"]["source"] == "course"
    assert meta["dataset"]["classes"] == []
    assert len(meta["dataset"]["fingerprint"]) == 16
    assert meta["versions"]["torch"]


def test_runs_list_and_show_as_json(trained: tuple[Path, list[dict]], cifar: Command) -> None:
    listed = json.loads(cifar("runs", "list", "--json", "--runs", trained[0]).stdout)
    assert [run["name"] for run in listed] == ["first", "second"]
    assert listed[0]["spec"]["lr"] == 0.05
    assert set(listed[0]) >= {"id", "status", "best", "last", "initial_loss", "parameters"}
    shown = json.loads(cifar("runs", "show", "first", "--json", "--runs", trained[0]).stdout)
    assert [e["epoch"] for e in shown["epochs"]] == [1, 2]
    assert shown["spec"] == listed[0]["spec"]


def test_a_printed_spec_can_be_trained_again_and_flags_win(
    trained: tuple[Path, list[dict]], cifar: Command, tmp_path: Path
) -> None:
    toml = cifar("runs", "show", "first", "--spec", "--runs", trained[0]).stdout
    (tmp_path / "again.toml").write_text(toml)
    done = cifar("train", "--spec", "again.toml", "--epochs", "1", "--json")
    assert done.returncode == 0, done.stderr
    spec = json_lines(done.stdout)[-1]["summary"]["spec"]
    assert (spec["lr"], spec["epochs"], spec["name"]) == (0.05, 1, "first")
    events = [e for e in json_lines(done.stdout) if e["event"] == "epoch"]
    before = json.loads(cifar("runs", "show", "first", "--json", "--runs", trained[0]).stdout)
    assert events[0]["train_loss"] == before["epochs"][0]["train_loss"]


def test_compare_shows_what_differs(trained: tuple[Path, list[dict]], cifar: Command) -> None:
    done = cifar("runs", "compare", "first", "second", "--json", "--runs", trained[0])
    found = json.loads(done.stdout)
    assert found["settings"]["lr"] == [0.05, 0.01]
    assert found["settings"]["augment"] == [False, True]
    assert "epochs" not in found["settings"]
    text = cifar("runs", "compare", "first", "second", "--runs", trained[0]).stdout
    assert " bn " in text
    assert "momentum" not in text


def test_delete_and_restore(trained: tuple[Path, list[dict]], cifar: Command) -> None:
    runs = trained[0]
    assert cifar("runs", "delete", "first", "--runs", runs).returncode == 0
    assert cifar("runs", "show", "first", "--runs", runs).returncode == 2
    assert "first" in cifar("runs", "list", "--trash", "--runs", runs).stdout
    assert cifar("runs", "restore", "first", "--runs", runs).returncode == 0
    assert cifar("runs", "show", "first", "--runs", runs).returncode == 0


def test_export_last_writes_one_row_per_test_image(
    trained: tuple[Path, list[dict]], cifar: Command, tmp_path: Path
) -> None:
    done = cifar("export", "last", "--output", "p.csv", "--json", "--runs", trained[0])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 100
    content = (tmp_path / "p.csv").read_bytes()
    assert b"\r" not in content
    rows = list(csv.reader(content.decode().splitlines()))
    assert rows[0] == ["Id", "Label"]
    assert [row[0] for row in rows[1:]] == [str(i) for i in range(100)]
    assert all(0 <= int(row[1]) <= 9 for row in rows[1:])
    again = cifar("export", "last", "--output", "p.csv", "--runs", trained[0])
    assert again.returncode == 2
    assert "p.csv exists" in again.stderr


def test_the_layer_summary_for_programs(cifar: Command) -> None:
    found = json.loads(cifar("summary", "--json").stdout)
    assert found["parameters"] == 82_030
    assert found["multiply_adds"] == 716_328
    assert found["layers"]
    net = json.loads(cifar("summary", "--model", "resnet", "--depth", "20", "--json").stdout)
    assert net["parameters"] == 269_722


def test_data_describes_the_splits(cifar: Command, tiny_course: Path) -> None:
    found = json.loads(cifar("data", "--data", tiny_course, "--json").stdout)
    assert found["source"] == "course"
    assert found["splits"]["train"]["images"] == 600
    assert sum(found["splits"]["train"]["counts"]) == 600
    assert found["classes"] == []


def test_without_data_the_demo_set_is_used_and_named_everywhere(
    cifar: Command, tmp_path: Path
) -> None:
    done = cifar("train", "--epochs", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert "Using the demo set (synthetic)" in done.stderr
    assert "data download" in done.stderr
    assert json.loads(cifar("runs", "list", "--json").stdout)[0]["synthetic"] is True
    assert "demo" in cifar("runs", "list").stdout
    assert "synthetic" in cifar("runs", "show", "last").stdout
    assert cifar("export", "last").returncode == 0
    assert [p.name for p in tmp_path.glob("*.csv")] == ["predictions-demo.csv"]


def test_a_grid_trains_every_combination(cifar: Command, tiny_course: Path) -> None:
    done = cifar("train", "--data", tiny_course, "--epochs", "1", "--grid", "lr=0.1,0.01")
    assert done.returncode == 0, done.stderr
    listed = json.loads(cifar("runs", "list", "--json").stdout)
    assert [run["spec"]["lr"] for run in listed] == [0.1, 0.01]
    assert [run["status"] for run in listed] == ["finished", "finished"]


def test_what_is_said_of_the_runs_of_a_grid_stands_in_their_order(
    cifar: Command, tiny_course: Path
) -> None:
    flags = ("--data", tiny_course, "--epochs", "2", "--subset", "100")
    done = cifar("train", *flags, "--grid", "lr=0.1,0.05,0.03,0.02,0.01")
    assert done.returncode == 0, done.stderr
    said = [line.partition(" ")[0] for line in done.stdout.splitlines()]
    assert said[:25] == ["run", "loss", "epoch", "epoch", "finished:"] * 5


def test_a_grid_ends_with_a_table_of_its_runs(cifar: Command, tiny_course: Path) -> None:
    flags = ("--data", tiny_course, "--epochs", "2", "--subset", "200")
    done = cifar("train", *flags, "--grid", "lr=1e-05,0.1,0.01")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()[-4:]
    assert head.startswith("run, best first")
    accuracies = [row.partition("lr ")[2].split()[1] for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert all(row.endswith("finished") and len(row) <= 80 for row in rows)
    one = cifar("train", *flags)
    assert "best first" not in one.stdout


def test_a_dry_run_says_what_would_be_trained_and_makes_nothing(
    cifar: Command, tiny_course: Path, tmp_path: Path
) -> None:
    flags = ("train", "--data", tiny_course, "--epochs", "2", "--grid", "lr=0.1,0.01", "--dry-run")
    done = cifar(*flags)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[:2] == ["2 runs on cpu, one at a time", "model   simplenn epochs 2"]
    assert said[2].startswith("images  Using the course's data in")
    assert said[3].startswith("time    not known")
    assert "simplenn lr 0.1 " in done.stdout
    assert not (tmp_path / "saved_model").exists()
    cifar("train", "--data", tiny_course, "--epochs", "4")
    found = json.loads(cifar(*flags, "--json").stdout)
    (known,) = json.loads(cifar("runs", "list", "--json").stdout)
    assert [run["spec"]["lr"] for run in found["runs"]] == [0.1, 0.01]
    assert found["seconds"] == pytest.approx(known["seconds"])
    assert found["images"]["source"] == "course"
    refused = cifar("train", "--data", tiny_course, "--device", "cuda:63", "--dry-run")
    assert refused.returncode == 2


def test_all_that_trains_is_watched_to_its_end(cifar: Command, tiny_course: Path) -> None:
    flags = ("--data", tiny_course, "--epochs", "20", "--subset", "200")
    grid = ("--grid", "lr=0.1,0.01", "--json")
    ids = json.loads(cifar("train", *flags, *grid, "--detach").stdout)["runs"]
    done = cifar("runs", "watch")
    assert done.returncode == 0, done.stderr
    assert ids[-1] in done.stdout
    assert done.stdout.splitlines()[-1].partition("  ")[2].startswith("finished: ")
    places = re.findall(r"^run ([0-9]+)/([0-9]+) ", done.stdout, re.MULTILINE)
    assert places
    assert all(int(number) <= int(total) for number, total in places)
    statuses = [run["status"] for run in json.loads(cifar("runs", "list", "--json").stdout)]
    assert statuses == ["finished", "finished"]
    again = cifar("runs", "watch")
    assert (again.returncode, again.stdout) == (0, "")
    assert "Nothing is in training" in again.stderr


@pytest.mark.parametrize("command", [["summary"], ["data"], ["devices"], ["runs", "list"]])
def test_every_command_takes_json_and_runs(command: list[str], cifar: Command) -> None:
    done = cifar(*command, "--json", "--runs", "elsewhere")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


WRONG = {
    "unknown flag": (["train", "--foo"], "--foo"),
    "value out of range": (["train", "--lr", "0"], "lr must be a number above 0"),
    "not a number": (["train", "--epochs", "many"], "epochs must be a whole number"),
    "missing value": (["train", "--lr"], "--lr"),
    "a flag that is gone": (["train", "--together"], "--devices cuda:0,cuda:1 or --devices cpu:2"),
    "unknown command": (["launch"], "launch"),
    "unknown subcommand": (["runs", "shwo", "x"], "shwo"),
    "unknown run": (["runs", "show", "x"], "There are no runs in saved_model"),
    "unknown run to export": (["export", "x"], "There are no runs"),
    "no such folder": (["train", "--data", "/nowhere/at/all"], "/nowhere/at/all"),
    "no images": (["train", "--data", "."], "There are no CIFAR-10 images in .;"),
    "no images to show": (["data", "--data", "."], "`demo` for the synthetic demo set"),
    "no such spec": (["train", "--spec", "no.toml"], "no.toml"),
    "bad grid": (["train", "--grid", "lr"], "--grid takes NAME=V1,V2"),
    "unknown grid setting": (["train", "--grid", "lrr=1,2"], "did you mean lr"),
    "one run to compare": (["runs", "compare", "x"], "two or more"),
    "no such metric": (["runs", "compare", "x", "y", "--metric", "vall"], "val_acc, val_loss"),
    "too much smoothing": (["runs", "compare", "x", "y", "--smooth", "1"], "--smooth must be"),
    "device not here": (["train", "--device", "cuda:63"], "cuda:63"),
    "no terminal": ([], "cifar-tui train"),
    "no terminal to watch in": (["train", "--app"], "needs a terminal"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_sentence_and_exit_code_2(
    name: str, cifar: Command, tmp_path: Path
) -> None:
    arguments, part = WRONG[name]
    done = cifar(*arguments)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if "Using the" not in line]
    assert len(lines) == 1, done.stderr
    assert part in lines[0]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "saved_model").exists()


@pytest.mark.parametrize(
    ("flag", "meant"),
    [("--weight-decay", "--l2"), ("--learning-rate", "--lr"), ("--wd", "--l2")],
)
def test_what_others_call_a_flag_is_answered_with_ours(
    flag: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["train", flag, "5e-4"]) == 2
    assert f"Did you mean {meant}?" in capsys.readouterr().err


def test_note_says_what_it_changed(
    save_run: Callable[..., RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_run(name="mine")
    where = ("--runs", str(tmp_path / "runs"))
    assert cli.run(["runs", "note", "mine", "--tags", "a,b", *where]) == 0
    assert capsys.readouterr().out == f"{folder.id} has the tags a, b.\n"
    assert cli.run(["runs", "note", "mine", "--name", "new", "--pin", *where]) == 0
    assert capsys.readouterr().out == f"{folder.id} is called new, is pinned.\n"


def test_damaged_images_fail_before_a_run_folder_is_made(
    cifar: Command, tiny_course: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in tiny_course.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    np.save(folder / "train-labels-batch.npy", np.full(600, 11))
    done = cifar("train", "--data", folder)
    assert done.returncode == 2
    assert "train-labels-batch.npy" in done.stderr
    assert not (tmp_path / "saved_model").exists()


def test_sigterm_stops_between_two_batches_and_keeps_the_run(
    tmp_path: Path, tiny_course: Path
) -> None:
    flags = ("--json", "--data", str(tiny_course), "--epochs", "100000")
    process = ForkedCommand(("train", *flags), tmp_path)
    for line in process.stdout:
        if json.loads(line)["event"] == "checkpoint":
            process.send_signal(signal.SIGTERM)
            break
    rest = json_lines(process.stdout.read())
    assert process.wait(timeout=60) == 143
    assert rest[-1]["event"] == "end"
    assert rest[-1]["summary"]["status"] == "stopped"
    assert rest[-1]["summary"]["epochs_done"] >= 1
    (folder,) = (tmp_path / "saved_model").iterdir()
    assert (folder / "last.pt").exists()
