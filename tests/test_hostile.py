"""Run folders, specs and predictions from strangers: read, or refused in one line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cifar_tui import cli
from cifar_tui.console import printing
from cifar_tui.features.predict.core import read_predictions
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.spec.checks import SETTINGS, make_spec
from cifar_tui.spec.naming import read_toml
from tests.hostile import (
    EPOCH,
    ESCAPES,
    NAMES,
    RUBBISH,
    SUMMARY,
    a_folder,
    as_json,
    as_lines,
    events,
    files,
    good_run,
    printed,
    refusal,
    rubbish,
    scalars,
    search,
    show_everything,
)
from tests.told import tell


@search
@given(files)
def test_a_run_folder_may_hold_anything(content: dict[str, bytes]) -> None:
    with a_folder() as folder:
        good = good_run(folder)
        bad = folder / "20260101-000000-bad"
        bad.mkdir()
        for name, data in content.items():
            (bad / name).write_bytes(data)
        show_everything(folder)
        found = {run.id: run for run in Runs(folder).all()}
        assert found[good].status == "finished"
        assert bad.name in found
        RunFolder(bad).read_order()


@pytest.mark.parametrize("content", RUBBISH)
@pytest.mark.parametrize(
    "name", ["summary.json", "notes.json", "progress.json", "meta.json", "events.jsonl"]
)
def test_rubbish_in_one_file_hides_nothing(tmp_path: Path, name: str, content: bytes) -> None:
    good = good_run(tmp_path)
    (tmp_path / good / name).write_bytes(content)
    show_everything(tmp_path)
    assert [run.id for run in Runs(tmp_path).all()] == [good]


@search
@given(st.lists(events, max_size=5))
@example([{**EPOCH, "epoch": True}, {**EPOCH, "epoch": 1.5}, {**EPOCH, "epoch": -3}])
@example([{**EPOCH, "train_loss": "1", "val_loss": [2], "lr": "x", "train_seconds": {}}])
@example([{**EPOCH, "train_loss": 1e308, "val_loss": -1e308, "images_per_second": 10**400}])
def test_epochs_are_whole_numbers_with_figures_or_gaps(lines: list[dict[str, Any]]) -> None:
    with a_folder() as folder:
        good = folder / good_run(folder)
        (good / "events.jsonl").write_bytes(as_lines(lines))
        for event in read_epochs(good):
            assert type(event.epoch) is int
            assert event.epoch > 0
            for name in ("lr", "train_loss", "val_acc", "train_seconds", "images_per_second"):
                assert type(getattr(event, name)) in (int, float, type(None))
                value = getattr(event, name)
                assert value is None or abs(value) < 1e39


def test_terminal_escapes_are_shown_not_obeyed(tmp_path: Path, capsys: Any) -> None:
    for name in NAMES:
        good = tmp_path / good_run(tmp_path)
        texts = dict.fromkeys(("name", "reason", "device", "source"), "x" + ESCAPES[:-7] + "[/red]")
        (good / "summary.json").write_bytes(as_json(SUMMARY | texts))
        (good / "notes.json").write_bytes(as_json({"note": name, "tags": [name], "name": name}))
        (good / "meta.json").write_bytes(as_json({name: [name], "x": {name: name}}))
        good.rename(tmp_path / f"20260101-000000-{name}")
    show_everything(tmp_path)
    capsys.readouterr()
    assert "\\x1b[31m" in printed(lambda: cli.run(["runs", "list", "--runs", str(tmp_path)]))
    for wanted in ("\x1b[2J", *(f"20260101-000000-{name}" for name in NAMES[:-1])):
        for command in ("watch", "stop", "delete", "note"):
            printed(lambda w=wanted, c=command: cli.run(["runs", c, w, "--runs", str(tmp_path)]))
            assert capsys.readouterr().err.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    "name", ["summary.json", "notes.json", "progress.json", "meta.json", "events.jsonl", "control"]
)
@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "endless", "outside"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("TOP SECRET")
    runs = tmp_path / "runs"
    good = good_run(runs)
    bad = runs / "20260101-000000-bad"
    bad.mkdir()
    (bad / "summary.json").write_bytes(as_json(SUMMARY | {"status": "running"}))
    (bad / name).unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(bad / name)
    elif kind == "folder":
        (bad / name).mkdir()
    else:
        target = {"loop": bad / name, "endless": "/dev/zero", "outside": secret}[kind]
        (bad / name).symlink_to(target)
    show_everything(runs)
    assert "SECRET" not in printed(lambda: printing.print_runs(Runs(runs).all(), runs))
    assert RunFolder(bad).read_order() is None
    assert {run.id for run in Runs(runs).all()} == {good, bad.name}
    assert secret.read_text() == "TOP SECRET"


def test_a_link_to_itself_hides_no_run(tmp_path: Path) -> None:
    good = good_run(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert [run.id for run in Runs(tmp_path).all()] == [good]


def test_a_run_folder_cannot_make_its_worker_write_elsewhere(tmp_path: Path) -> None:
    target = tmp_path / "bashrc"
    target.write_text("alias ls=ls")
    folder = RunFolder(tmp_path / "runs" / good_run(tmp_path / "runs"))
    (folder.path / "events.jsonl").unlink()
    (folder.path / "events.jsonl").symlink_to(target)
    with pytest.raises(OSError):
        tell(folder, {"event": "end"})
    folder.mend_events()
    assert target.read_text() == "alias ls=ls"


tomls = rubbish | st.builds(
    lambda pairs: "\n".join(f"{k} = {v}" for k, v in pairs).encode(errors="surrogatepass"),
    st.lists(
        st.tuples(
            st.sampled_from([*SETTINGS, "other"]),
            st.builds(json.dumps, scalars | st.lists(scalars, max_size=2))
            | st.sampled_from(["nan", "-inf", "1979-13-41", "9" * 5000, "[" * 3000, "'''\x1b"]),
        ),
        max_size=3,
    ),
)


@search
@given(tomls)
@example(b"x = " + b"[" * 5000)
@example(b"lr = " + b"9" * 5000)
@example(b'"\\u001b[31m" = 1')
@example(b"d = 2020-01-01T00:00:00+99:99")
def test_a_spec_file_is_read_or_refused(content: bytes) -> None:
    with a_folder() as folder:
        path = folder / "spec.toml"
        path.write_bytes(content)
        refusal(lambda: make_spec(read_toml(path)))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a" + b".a" * 30_000 + b" = 1", "more than 200 dots"),
        (b"[a" + b".a" * 30_000 + b"]", "more than 200 dots"),
        (b"x = {a" + b'."a"' * 10_000 + b" = 1}", "more than 200 dots"),
        (b"# " + b"x" * 70_000, "larger than 65,536 bytes"),
    ],
)
def test_settings_that_would_take_all_memory_are_refused_and_hide_no_run(
    content: bytes, sentence: str
) -> None:
    with a_folder() as folder:
        (folder / "spec.toml").write_bytes(content)
        assert sentence in refusal(lambda: read_toml(folder / "spec.toml"))
        good, greedy = good_run(folder / "runs"), good_run(folder / "runs")
        path = folder / "runs" / greedy
        (path / "spec.toml").write_bytes(content)
        summary = json.loads((path / "summary.json").read_text()) | {"spec": {}}
        (path / "summary.json").write_text(json.dumps(summary))
        found = {run.id: run for run in Runs(folder / "runs").all()}
        assert found[good].status == "finished"
        assert sentence in found[greedy].problem


def test_a_record_of_millions_of_values_is_unreadable_and_hides_no_run() -> None:
    with a_folder() as folder:
        good, greedy = good_run(folder), good_run(folder)
        (folder / greedy / "summary.json").write_bytes(b'{"spec": [' + b"{}," * 400_000 + b"{}]}")
        found = {run.id: run for run in Runs(folder).all()}
        assert found[good].status == "finished"
        assert "larger than 1,048,576 bytes" in found[greedy].problem


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/dev/null/x", "/proc/self/mem"])
def test_a_spec_or_predictions_file_must_be_a_file(path: str) -> None:
    assert refusal(lambda: read_toml(Path(path)))
    assert refusal(lambda: read_predictions(Path(path)))


@search
@given(
    rubbish
    | st.lists(st.tuples(scalars, scalars), max_size=4).map(
        lambda rows: ("Id,Label\n" + "".join(f"{a},{b}\n" for a, b in rows)).encode(
            errors="surrogatepass"
        )
    )
)
@example(b"Id,Label\n0,7\n")
def test_predictions_are_read_or_refused(content: bytes) -> None:
    with a_folder() as folder:
        path = folder / "predictions.csv"
        path.write_bytes(content)
        if not refusal(lambda: read_predictions(path)):
            assert all(0 <= label <= 9 for label in read_predictions(path))
