"""Space is given back without losing what a run needs, and never outside of the runs."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from cifar_tui import cli
from cifar_tui.errors import UserError
from cifar_tui.features.labs.answer import RANK, _rank
from cifar_tui.locks import Lock
from cifar_tui.runs.control import requeue
from cifar_tui.runs.disk import empty_trash, keep_best, size_of, spare
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.ids import TRASH
from cifar_tui.runs.listing import Run, Runs, read_run
from cifar_tui.runs.notes import annotate
from cifar_tui.runs.record import Progress, this_worker
from tests.conftest import Command
from tests.hostile import SUMMARY, as_json, good_run, refusal


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A stopped run with two checkpoints."""
    folder = tmp_path / good_run(tmp_path)
    torch.save({"x": torch.zeros(100)}, folder / "best.pt")
    torch.save({"x": torch.zeros(1000)}, folder / "last.pt")
    (folder / "summary.json").write_bytes(as_json(SUMMARY | {"status": "stopped"}))
    return read_run(folder)


def test_sizes_are_those_of_the_run_s_own_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1500))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(bytes(500))
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "out").symlink_to("/usr")
    assert size_of(tmp_path) == 2000
    assert size_of(tmp_path / "gone") == 0


def test_only_best_is_kept_and_the_run_cannot_be_resumed(run: Run) -> None:
    last = run.path / "last.pt"
    left = run.path / ".last.pt.abc"
    left.write_bytes(bytes(77))
    wanted = last.stat().st_size
    assert spare(run) == wanted
    assert wanted + 77 - 300 < keep_best(run) <= wanted + 77
    assert not last.exists() and not left.exists()
    assert torch.load(run.path / "best.pt", weights_only=True)["x"].shape == (100,)
    assert spare(run) == 0
    assert refusal(lambda: requeue(run)).endswith(
        "kept only best.pt and cannot be resumed; train it anew."
    )
    assert read_run(run.path).status == "stopped"
    assert _rank(run) == len(RANK)


def test_last_is_kept_where_it_is_needed(run: Run, tmp_path: Path) -> None:
    best, last = run.path / "best.pt", run.path / "last.pt"
    whole = best.read_bytes()
    best.write_bytes(whole[:-300] + bytes(10) + whole[-290:])
    assert "no whole best.pt" in refusal(lambda: keep_best(run))
    best.unlink()
    best.symlink_to(last)
    assert "no whole best.pt" in refusal(lambda: keep_best(run))
    best.unlink()
    assert "no whole best.pt" in refusal(lambda: keep_best(run))
    best.write_bytes(whole)
    with Lock(run.path / "lock") as other:
        assert other.take()
        assert "in training" in refusal(lambda: keep_best(run))
    (run.path / "summary.json").write_bytes(as_json(SUMMARY | {"status": "queued"}))
    assert "is queued" in refusal(lambda: keep_best(read_run(run.path)))
    assert last.exists()


def test_emptying_removes_links_but_not_what_they_lead_to(run: Run, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    runs = Runs(tmp_path)
    runs.delete(run)
    trash = tmp_path / TRASH
    size = size_of(trash / run.id)
    (trash / "link").symlink_to(precious)
    (trash / run.id / "deep").symlink_to(precious)
    done = empty_trash(tmp_path)
    assert (done.removed, done.bytes, done.problems) == ((run.id, "link"), size, ())
    assert list(trash.iterdir()) == []
    assert (precious / "file").read_text() == "precious"
    assert empty_trash(tmp_path).removed == ()


def test_a_trash_that_is_a_link_is_not_emptied(run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("precious")
    (tmp_path / TRASH).symlink_to(elsewhere)
    with pytest.raises(UserError, match="is a link, which is not followed"):
        empty_trash(tmp_path)
    assert (elsewhere / "file").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove anything")
def test_what_cannot_be_removed_is_told(run: Run, tmp_path: Path) -> None:
    Runs(tmp_path).delete(run)
    folder = tmp_path / TRASH / run.id
    folder.chmod(0o500)
    done = empty_trash(tmp_path)
    folder.chmod(0o700)
    assert done.removed == () and "Cannot remove" in done.sentence()


def test_the_command_tells_by_its_exit_code_that_something_stays(run: Run, tmp_path: Path) -> None:
    trained = RunFolder(tmp_path / TRASH / "trained")
    shutil.copytree(run.path, trained.path)
    trained.write_summary(run.summary.model_copy(update={"status": "running"}))
    trained.write_progress(Progress(worker=this_worker()))
    assert cli.run(["runs", "empty-trash", "--yes", "--runs", str(tmp_path)]) == 1
    shutil.rmtree(trained.path)
    assert cli.run(["runs", "empty-trash", "--yes", "--runs", str(tmp_path)]) == 0


def test_pinned_runs_are_not_deleted_with_others(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = good_run(tmp_path)
    where = ["--runs", str(tmp_path)]
    assert cli.run(["runs", "pin", run.id, *where]) == 0
    assert Runs(tmp_path).get(run.id).notes.pinned
    capsys.readouterr()
    assert cli.run(["runs", "list", *where]) == 0
    assert "stopped pinned" in capsys.readouterr().out
    assert cli.run(["runs", "delete", run.id, other, *where]) == 2
    assert "Pinned: good." in capsys.readouterr().err
    assert len(Runs(tmp_path).all()) == 2
    assert cli.run(["runs", "unpin", run.id, *where]) == 0
    capsys.readouterr()
    assert cli.run(["runs", "delete", run.id, other, *where, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["id"] for one in told["runs"]} == {run.id, other}
    assert told["bytes"] == size_of(tmp_path / TRASH)


def test_notes_survive_a_pin(run: Run) -> None:
    annotate(run.path, name="mine", tags=("a",))
    assert cli.run(["runs", "note", run.id, "--pin", "--runs", str(run.path.parent)]) == 0
    found = read_run(run.path)
    assert (found.name, found.tags, found.notes.pinned) == ("mine", ("a",), True)


def test_the_commands_ask_or_want_yes(cifar: Command, run: Run, tmp_path: Path) -> None:
    where = ("--runs", tmp_path)
    asked = cifar("runs", "keep-best", run.id, *where)
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "cannot be resumed then. --yes does it." in asked.stderr
    assert (run.path / "last.pt").exists()
    freed = json.loads(cifar("runs", "keep-best", run.id, "--yes", "--json", *where).stdout)
    assert list(freed["runs"]) == [run.id]
    assert freed["bytes"] == freed["runs"][run.id] > 4000
    refused = cifar("runs", "resume", run.id, *where)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "kept only best.pt" in refused.stderr
    assert cifar("runs", "delete", run.id, *where).returncode == 0
    assert "empty-trash` frees " in cifar("runs", "list", "--trash", *where).stdout
    unsure = cifar("runs", "empty-trash", *where)
    assert unsure.returncode == 2 and "1 run (" in unsure.stderr
    assert (tmp_path / TRASH / run.id).exists()
    emptied = json.loads(cifar("runs", "empty-trash", "--yes", "--json", *where).stdout)
    assert emptied["removed"] == [run.id] and emptied["bytes"] > 1000
