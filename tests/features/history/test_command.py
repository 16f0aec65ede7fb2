"""`runs list` with a filter, an order, columns and groups, and `runs fields`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui import cli
from cifar_tui.query.fields import FIELDS
from cifar_tui.query.view import Memory, View, remember
from cifar_tui.runs.folder import RunFolder
from tests.apps import save_run as save_run
from tests.test_hostile_screens import hostile_runs

Listed = Callable[..., str]


@pytest.fixture
def listed(
    save_run: Callable[..., RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Listed:
    """Run `runs list` with some flags over four runs; its output."""
    save_run((0.5, 0.7, 0.6), name="a", lr=0.1, batch_norm=True, seed=0)
    save_run((0.5, 0.74, 0.5), name="b", lr=0.1, batch_norm=True, seed=1, tags=("bad",))
    save_run((0.5,), name="c", lr=0.05, status="stopped")
    save_run((), name="d", status="queued")

    def run(*flags: str, command: str = "list") -> str:
        arguments = ["runs", command, *flags, "--runs", str(tmp_path / "runs")]
        assert cli.run(arguments) == 0
        return capsys.readouterr().out

    return run


def names(text: str) -> list[str]:
    return [run["name"] for run in json.loads(text)]


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ((), "abcd"),
        (("--filter", "bn"), "ab"),
        (("--filter", "-bn lr=0.05"), "c"),
        (("--filter", "-tag:bad"), "acd"),
        (("--filter", "lr>=0.05 status=finished val_acc>0.72"), "b"),
        (("--sort", "-val_acc"), "bacd"),
        (("--sort", "val_acc"), "cabd"),
        (("--sort", "-val_acc", "--last"), "abcd"),
        (("--filter", "nothing"), ""),
    ],
)
def test_a_filter_and_an_order(listed: Listed, flags: tuple[str, ...], found: str) -> None:
    assert names(listed(*flags, "--json")) == list(found)


def test_json_without_columns_is_the_whole_run(listed: Listed) -> None:
    first = json.loads(listed("--json", "--filter", "name=a"))[0]
    assert {"id", "status", "epochs_done", "best", "spec", "path"} <= set(first)


def test_columns_are_the_fields_asked_for_in_their_order(listed: Listed) -> None:
    flags = ("--columns", "name, lr,acc,tags,depth,started", "--filter", "name=b")
    (found,) = json.loads(listed(*flags, "--json"))
    assert list(found) == ["name", "lr", "val_acc", "tag", "depth", "started"]
    assert (found["lr"], found["val_acc"], found["tag"], found["depth"]) == (
        0.1,
        0.74,
        ["bad"],
        None,
    )
    text = listed(*flags)
    assert text.split()[:4] == ["name", "lr", "val_acc", "tag"]
    assert "0.7400" in text and "1 of 4 runs" in text


def test_groups_have_the_spread_over_seeds(listed: Listed) -> None:
    groups = json.loads(listed("--group-by", "lr,bn", "--filter", "status=finished", "--json"))
    assert len(groups) == 1
    group: dict[str, Any] = groups[0]
    assert group["settings"] == {"lr": 0.1, "batch_norm": True}
    assert (group["n"], group["min"], group["max"]) == (2, 0.7, 0.74)
    assert group["mean"] == pytest.approx(0.72)
    assert group["std"] == pytest.approx(0.0283, abs=1e-4)
    assert len(group["runs"]) == 2
    last = json.loads(listed("--group-by", "lr", "--last", "--json"))
    assert last[0]["metric"] == "last_val_acc"
    assert last[0]["mean"] == pytest.approx(0.55)
    text = listed("--group-by", "lr,bn", "--sort", "n")
    assert text.splitlines()[-2].split() == [
        "lr",
        "0.1",
        "bn",
        "2",
        "0.7200",
        "0.0283",
        "0.7000",
        "0.7400",
    ]


def test_the_view_of_history_is_listed_on_request_only(listed: Listed, tmp_path: Path) -> None:
    view = View(columns=("name", "val_acc"), sort="val_acc", last=True, filter="bn")
    remember(tmp_path / "runs", Memory(view=view))
    assert json.loads(listed("--view", "--json")) == [
        {"name": "a", "last_val_acc": 0.6},
        {"name": "b", "last_val_acc": 0.5},
    ]
    assert names(listed("--view", "--filter", "", "--json")) == ["a", "c", "b", "d"]
    assert names(listed("--json")) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--filter", "lrr>1"), "There is no field 'lrr'; did you mean lr?"),
        (("--filter", "lr>"), "lr> needs a number."),
        (("--sort", "val_ac"), "did you mean val_acc?"),
        (("--columns", ","), "Columns need fields, like name,lr,val_acc."),
        (("--columns", "name,colour"), "There is no field 'colour'"),
        (("--group-by", "val_acc"), "val_acc was measured"),
        (("--group-by", "lr", "--metric", "model"), "model is no number"),
        (("--group-by", "lr", "--sort", "lr"), "Groups sort by group, n, mean"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], sentence: str
) -> None:
    assert cli.run(["runs", "list", *flags, "--runs", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err


def test_all_fields_are_listed_with_their_kind_and_help(listed: Listed) -> None:
    found = {field["name"]: field for field in json.loads(listed("--json", command="fields"))}
    assert set(found) == set(FIELDS)
    assert found["batch_norm"]["kind"] == "switch" and "bn" in found["batch_norm"]["aliases"]
    assert found["model"]["choices"] == ["simplenn", "resnet"]
    assert "Learning rate of SGD" in listed(command="fields")


def test_hostile_folders_are_listed_grouped_and_filtered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    count = len(hostile_runs(runs))
    fields = ",".join(FIELDS)
    groups = ",".join(f.name for f in FIELDS.values() if f.setting or f.kind in ("word", "words"))
    asked = [f"{name}=-" for name in FIELDS] + ["lr>0 status:a", "age<1d", "-settings:x"]
    for flags in (
        ["--columns", fields],
        ["--columns", fields, "--json"],
        ["--group-by", groups],
        ["--group-by", groups, "--metric", "val_loss", "--json"],
        *(["--sort", name] for name in FIELDS),
        *(["--filter", text] for text in asked),
    ):
        assert cli.run(["runs", "list", *flags, "--runs", str(runs)]) == 0
        text = capsys.readouterr().out
        assert all(line.isprintable() for line in text.splitlines())
    assert cli.run(["runs", "list", "--columns", "id", "--json", "--runs", str(runs)]) == 0
    assert len(json.loads(capsys.readouterr().out)) == count


def test_a_terminal_has_a_column_for_each_setting_that_varies(
    listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    head, *found = listed().splitlines()
    assert head.split()[:3] == ["id", "name", "lr"]
    assert all(len(line) <= 80 for line in (head, *found))
    assert "✓ finished" in found[0] and "- stopped" in found[2] and "· queued" in found[3]
    assert "simplenn" in " ".join(found[4:])


def test_a_pipe_has_the_same_columns_whatever_the_runs_are(listed: Listed) -> None:
    columns = ["id", "name", "settings", "best", "val_acc", "epochs", "status"]
    for filter in ("", "bn", "lr=0.05"):
        assert listed("--filter", filter).splitlines()[0].split() == columns


def test_tables_for_programs_have_every_field_in_columns_that_never_change(
    listed: Listed,
) -> None:
    heads = {listed("--format", "csv", "--filter", f).splitlines()[0] for f in ("", "bn", "d")}
    (head,) = heads
    assert {"id", "lr", "batch_norm", "val_acc", "status", "images"} <= set(head.split(","))
    table = listed("--format", "tsv", "--columns", "name,lr,val_acc,depth")
    assert table.splitlines()[:2] == ["name\tlr\tval_acc\tdepth", "a\t0.1\t0.7\t"]
    assert listed("--format", "md").splitlines()[1].startswith("| --- |")
    assert json.loads(listed("--format", "json")) == json.loads(listed("--json"))
    groups = listed("--format", "csv", "--group-by", "lr", "--filter", "bn")
    assert groups.splitlines() == [
        "lr,synthetic,metric,n,mean,std,min,max",
        groups.splitlines()[1],
    ]
    assert groups.splitlines()[1].startswith("0.1,false,val_acc,2,0.72,")


def test_a_status_is_in_colour_on_a_terminal_and_not_with_no_color(
    listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "\x1b[" not in listed()
