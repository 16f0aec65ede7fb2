"""Run folders as they are found, whole or damaged, live or dead; and the run that is meant."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.features.compare.core import differing
from cifar_tui.files import MAX_JSON_BYTES, LineReader, finite, write_atomic
from cifar_tui.locks import Lock
from cifar_tui.query.fields import FIELDS, Line
from cifar_tui.query.groups import group_runs
from cifar_tui.runs.control import order, requeue
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.ids import started_at
from cifar_tui.runs.listing import Follower, Runs, read_run
from cifar_tui.runs.notes import annotate, clean_notes
from cifar_tui.runs.record import (
    Point,
    Progress,
    Worker,
    boot_id,
    this_host,
    this_worker,
    waiting_job,
)
from cifar_tui.spec.settings import RunSpec
from cifar_tui.text import age
from tests.told import tell


def make(
    runs: Path, *, status: str = "finished", acc: float = 0.5, **settings: object
) -> RunFolder:
    folder = RunFolder.create(runs, RunSpec(**settings))
    best = Point(epoch=1, val_acc=acc, val_loss=1.0)
    summary = read_run(folder.path).summary
    changes = {"status": status, "best": best, "source": settings.get("data", "course")}
    folder.write_summary(summary.model_copy(update=changes))
    return folder


def ids(runs: Path) -> list[str]:
    return [run.id for run in Runs(runs).all()]


def test_ids_sort_by_time_and_never_collide(tmp_path: Path) -> None:
    made = [RunFolder.create(tmp_path, RunSpec(name="same")).id for _ in range(3)]
    assert len(set(made)) == 3
    assert ids(tmp_path) == made, "runs of one second must keep their order"


def test_a_name_cannot_leave_the_runs_folder(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "runs", RunSpec(name="../../evil/x"))
    assert folder.path.parent == tmp_path / "runs"
    assert [p.name for p in tmp_path.iterdir()] == ["runs"]


def test_the_whole_spec_comes_back(tmp_path: Path) -> None:
    spec = RunSpec(data="demo", lr=0.05, model="resnet", milestones=(1, 2), tags=("x",))
    folder = RunFolder.create(tmp_path, spec)
    assert folder.spec() == spec
    assert read_run(folder.path).spec == spec
    (folder.path / "summary.json").unlink()
    assert "summary.json is missing" in read_run(folder.path).problem


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"id": 3, "status": "dancing"}', b"null"],
)
def test_one_bad_folder_is_listed_with_its_reason_and_hides_no_other(
    tmp_path: Path, content: bytes
) -> None:
    good = make(tmp_path)
    bad = tmp_path / "20260101-000000-bad"
    bad.mkdir()
    (bad / "summary.json").write_bytes(content)
    found = {run.id: run for run in Runs(tmp_path).all()}
    assert found[good.id].status == "finished"
    assert found[bad.name].status == "unreadable"
    assert found[bad.name].problem


def test_liveness_follows_the_process_and_not_its_pid_alone(tmp_path: Path) -> None:
    folder = make(tmp_path, status="running")
    runs = Runs(tmp_path)

    def status(worker: Worker) -> str:
        folder.write_progress(Progress(worker=worker, counter=1))
        return runs.get(folder.id).status

    me = this_worker()
    assert status(me) == "running"
    assert status(me.model_copy(update={"started": me.started - 5})) == "crashed"
    assert status(me.model_copy(update={"boot": "another"})) == "crashed"
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    assert status(me.model_copy(update={"pid": gone.pid})) == "crashed"


def test_a_run_whose_progress_is_damaged_is_crashed_only_once_nobody_holds_its_lock(
    tmp_path: Path,
) -> None:
    folder = make(tmp_path, status="running")
    (folder.path / "progress.json").write_text('{"worker"')
    runs = Runs(tmp_path)
    with Lock(folder.path / "lock") as lock:
        assert lock.take()
        assert runs.get(folder.id).status == "running"
    assert runs.get(folder.id).status == "crashed"


def test_a_run_elsewhere_is_stale_only_when_its_heartbeat_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path, status="running")
    elsewhere = Worker(host="elsewhere", boot="b", pid=1, started=1.0)
    runs = Runs(tmp_path)
    now = 1000.0
    monkeypatch.setattr("cifar_tui.runs.liveness.time.monotonic", lambda: now)
    for counter in (1, 2):
        folder.write_progress(Progress(worker=elsewhere, counter=counter))
        assert runs.get(folder.id).status == "running"
        now += 29
    assert runs.get(folder.id).status == "running"
    now += 10
    assert runs.get(folder.id).status == "stale"
    folder.write_progress(Progress(worker=elsewhere, counter=3))
    assert runs.get(folder.id).status == "running"


def test_a_queue_elsewhere_is_left_behind_only_when_its_heartbeat_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path, status="queued")
    elsewhere = Worker(host="elsewhere", boot="b", pid=1, started=1.0)
    runs = Runs(tmp_path)
    now = 1000.0
    monkeypatch.setattr("cifar_tui.runs.liveness.time.monotonic", lambda: now)
    job = elsewhere.model_copy(update={"job": "slurm:1"})
    for never_beats in (Progress(worker=elsewhere), Progress(worker=job, counter=9)):
        folder.write_progress(never_beats)
        for _ in range(2):
            assert not runs.get(folder.id).left_behind
            now += 40
    for counter in (1, 2):
        folder.write_progress(Progress(worker=elsewhere, counter=counter))
        assert not runs.get(folder.id).left_behind
        now += 29
    assert not runs.get(folder.id).left_behind
    now += 10
    assert runs.get(folder.id).left_behind
    folder.write_progress(Progress(worker=elsewhere, counter=3))
    assert not runs.get(folder.id).left_behind
    folder.write_progress(Progress(worker=waiting_job("queue:0123")))
    assert runs.get(folder.id).left_behind, "nobody keeps such a queue any more"


def test_an_ended_run_stays_ended_whatever_its_process_does(tmp_path: Path) -> None:
    folder = make(tmp_path, status="finished")
    dead = Worker(host=this_host(), boot=boot_id(), pid=2**22 - 1, started=0.0)
    folder.write_progress(Progress(worker=dead))
    assert Runs(tmp_path).get(folder.id).status == "finished"


def test_readers_take_whole_lines_only_and_pass_over_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = LineReader(path)
    assert reader.read() == []
    path.write_bytes(b'{"event": "start"}\nrubbish\n{"event": "ep')
    assert reader.read() == [{"event": "start"}]
    with path.open("ab") as file:
        file.write(b'och", "epoch": 1}\n')
    assert reader.read() == [{"event": "epoch", "epoch": 1}]
    assert reader.read() == []


def test_events_are_read_to_the_end_however_many_bytes_they_are(tmp_path: Path) -> None:
    folder = make(tmp_path)
    with (folder.path / "events.jsonl").open("wb") as file:
        for epoch in range(1, 71):
            event = json.dumps({"event": "epoch", "epoch": epoch, "val_acc": 0.1})
            file.write(event.ljust(2**20).encode() + b"\n")
    assert [event.epoch for event in read_epochs(folder.path)] == list(range(1, 71))


def test_a_line_without_an_end_takes_no_memory_and_hides_nothing_after_it(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = LineReader(path)
    path.write_bytes(b'{"event": "start"}\n' + b"x" * (2 * MAX_JSON_BYTES + 7))
    assert reader.read() == [{"event": "start"}]
    with path.open("ab") as file:
        file.write(b'x\n{"event": "end"}\n')
    assert reader.read() == [{"event": "end"}]
    assert reader.read() == []


def test_numbers_that_are_not_finite_are_null_and_flagged(tmp_path: Path) -> None:
    folder = make(tmp_path)
    tell(folder, {"event": "epoch", "epoch": 1, "train_loss": float("nan"), "val_acc": 0.1})
    (event,) = read_epochs(folder.path)
    assert event.train_loss is None
    assert event.not_finite == ("train_loss",)
    assert finite({"a": 1.0}) == {"a": 1.0}


def test_an_epoch_trained_again_counts_once(tmp_path: Path) -> None:
    folder = make(tmp_path)
    for epoch, acc in ((1, 0.1), (2, 0.2), (2, 0.25), (3, 0.3)):
        tell(folder, {"event": "epoch", "epoch": epoch, "val_acc": acc})
    assert [e.val_acc for e in read_epochs(folder.path)] == [0.1, 0.25, 0.3]


def test_epochs_beyond_the_one_that_a_run_resumes_from_count_nowhere(tmp_path: Path) -> None:
    folder = make(tmp_path)
    follower = Follower(Runs(tmp_path), folder.id)

    def told(*events: tuple[str, int, float]) -> list[tuple[int, float]]:
        for kind, epoch, acc in events:
            tell(folder, {"event": kind, "epoch": epoch, "val_acc": acc})
        alone = [(e.epoch, e.val_acc) for e in read_epochs(folder.path)]
        assert [(e.epoch, e.val_acc) for e in follower.look().epochs] == alone
        return alone

    assert len(told(*(("epoch", epoch, 0.1) for epoch in (1, 2, 3, 4)))) == 4
    assert told(("resume", 2, 0.0)) == [(1, 0.1), (2, 0.1)]
    assert told(("epoch", 3, 0.3)) == [(1, 0.1), (2, 0.1), (3, 0.3)]
    assert told(("start", 0, 0.0)) == []
    assert told(("epoch", 1, 0.4)) == [(1, 0.4)]


def test_atomic_writes_leave_the_old_file_when_they_fail(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_atomic(path, b"old")
    tmp_path.chmod(0o500)
    try:
        if os.geteuid() != 0:
            with pytest.raises(OSError):
                write_atomic(path, b"new")
    finally:
        tmp_path.chmod(0o700)
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_runs_are_meant_by_id_prefix_name_last_and_best(tmp_path: Path) -> None:
    one = make(tmp_path, name="one", acc=0.9)
    two = make(tmp_path, name="two", acc=0.4)
    demo = make(tmp_path, name="zdemo", acc=0.99, data="demo")
    runs = Runs(tmp_path)
    assert runs.find(one.id).id == one.id
    assert runs.find("two").id == two.id
    assert runs.find("last").id == demo.id
    assert runs.find("best").id == one.id, "a demo run must not beat a real one"
    assert runs.find(two.id[:-1]).id == two.id
    with pytest.raises(UserError, match="means 3 runs"):
        runs.find(one.id[:4])
    with pytest.raises(UserError, match="no run 'nothing'"):
        runs.find("nothing")


def test_last_and_best_are_words_whatever_folders_are_called(tmp_path: Path) -> None:
    one = make(tmp_path, name="one", acc=0.9)
    two = make(tmp_path, name="two", acc=0.4)
    for word in ("last", "best"):
        shutil.copytree(two.path, tmp_path / word)
    runs = Runs(tmp_path)
    assert runs.find("best").id == one.id
    assert runs.find("last").id == two.id
    assert runs.find("./best").id == "best"
    for nothing in ("", " "):
        with pytest.raises(UserError, match="named by its id"):
            runs.find(nothing)


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Move this process into another time zone until the test ends."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


def test_last_is_the_latest_run_in_whatever_zone_runs_were_made(
    tmp_path: Path, in_zone: Callable[[str], None]
) -> None:
    made = []
    for zone in ("Pacific/Kiritimati", "UTC", "Pacific/Honolulu"):
        in_zone(zone)
        made.append(RunFolder.create(tmp_path, RunSpec(name=zone)).id)
    assert ids(tmp_path) == made
    assert Runs(tmp_path).find("last").id == made[-1]
    now = datetime.now().astimezone()
    assert all(age(started_at(run_id), now)[-1] == "s" for run_id in made)


def test_runs_keep_their_order_and_age_when_summer_time_ends(
    tmp_path: Path, in_zone: Callable[[str], None]
) -> None:
    in_zone("Europe/Berlin")
    stamps = ("20261025-003000-000000Z", "20261025-013000-000000Z")
    first, second = (started_at(f"{stamp}-x") for stamp in stamps)
    assert first is not None and second is not None
    assert f"{first:%H:%M} {second:%H:%M}" == "02:30 02:30"
    assert age(first, second) == "1h"
    older = tmp_path / "20261025-013000-000000-made-before-ids-had-a-zone"
    for path in (older, *(tmp_path / f"{stamp}-x" for stamp in stamps)):
        path.mkdir()
    assert ids(tmp_path)[0] == older.name


def test_trash_and_restore_move_the_whole_folder(tmp_path: Path) -> None:
    folder = make(tmp_path, name="x")
    runs = Runs(tmp_path)
    runs.delete(runs.get(folder.id))
    assert ids(tmp_path) == []
    assert [run.id for run in runs.trashed()] == [folder.id]
    runs.restore(runs.trashed()[0])
    assert ids(tmp_path) == [folder.id]


def test_of_two_that_resume_a_run_at_the_same_time_one_does(tmp_path: Path) -> None:
    folder = make(tmp_path, status="stopped")
    seen = read_run(folder.path)
    requeue(seen)
    folder.write_order("stop")
    with pytest.raises(UserError, match="is queued already"):
        requeue(seen)
    assert folder.read_order() == "stop", "what was ordered since is not taken back"


def test_a_running_run_is_not_deleted(tmp_path: Path) -> None:
    folder = make(tmp_path, status="running")
    folder.write_progress(Progress(worker=this_worker()))
    runs = Runs(tmp_path)
    with pytest.raises(UserError, match="stop it before"):
        runs.delete(runs.get(folder.id))
    assert folder.path.exists()


def test_notes_win_over_the_spec_and_leave_it_alone(tmp_path: Path) -> None:
    folder = make(tmp_path, name="old", tags=("a",))
    before = (folder.path / "spec.toml").read_bytes()
    runs = Runs(tmp_path)
    annotate(folder.path, **clean_notes(name="new", tags="b, c", note="good"))
    run = runs.get(folder.id)
    assert (run.name, run.tags, run.notes.note) == ("new", ("b", "c"), "good")
    assert (folder.path / "spec.toml").read_bytes() == before
    (folder.path / "notes.json").write_text("{broken")
    assert runs.get(folder.id).name == "old"


def test_comparison_shows_only_settings_that_differ_and_have_effect(tmp_path: Path) -> None:
    make(tmp_path, lr=0.1, model="resnet", depth=20)
    make(tmp_path, lr=0.01, model="resnet", depth=32)
    make(tmp_path, lr=0.01, depth=32)
    found = differing(Runs(tmp_path).all())
    assert found["lr"] == [0.1, 0.01, 0.01]
    assert found["depth"] == [20, 32, None]
    assert "momentum" not in found
    assert set(found) == {"lr", "model", "depth", "width", "shortcut", "conv_bias", "batch_norm"}


def test_a_foreign_summary_with_more_fields_is_still_read(tmp_path: Path) -> None:
    folder = make(tmp_path)
    path = folder.path / "summary.json"
    content = json.loads(path.read_text())
    content["invented_later"] = {"x": 1}
    content["spec"]["new_setting"] = 3
    path.write_text(json.dumps(content))
    assert read_run(folder.path).problem == ""


def edit(folder: RunFolder, old: str, new: str) -> None:
    path = folder.path / "spec.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_queued_run_is_shown_with_the_settings_that_its_spec_toml_has_now(
    tmp_path: Path,
) -> None:
    folder = make(tmp_path, status="queued", lr=0.01)
    runs = Runs(tmp_path)
    assert runs.get(folder.id).name == "simplenn"
    edit(folder, "lr = 0.01", "lr = 0.5")
    edit(folder, "epochs = 30", "epochs = 7")
    run = runs.get(folder.id)
    assert run.spec == folder.spec()
    assert run.to_dict()["spec"]["lr"] == 0.5
    assert (run.name, run.summary.epochs, run.edited) == ("simplenn epochs 7 lr 0.5", 7, "")
    edit(folder, "lr = 0.5", "lr = fast")
    assert "spec.toml is not a TOML file" in runs.get(folder.id).problem
    edit(folder, "lr = fast", "lr = -1")
    assert runs.get(folder.id).problem.startswith("lr must be a number above 0")


def test_settings_edited_after_training_are_shown_told_and_compared_with_none(
    tmp_path: Path,
) -> None:
    folder = make(tmp_path, status="stopped", lr=0.01, data="demo")
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"epochs_done": 1}))
    edit(folder, 'device = "auto"', 'device = "cpu"')
    assert requeue(read_run(folder.path)).id == folder.id
    folder.write_summary(summary.model_copy(update={"epochs_done": 1, "status": "stopped"}))
    edit(folder, "lr = 0.01", "lr = 0.2")
    edit(folder, "seed = 0", "seed = 9")
    run = read_run(folder.path)
    assert run.spec == folder.spec()
    said = "trained with seed 0, lr 0.01, and spec.toml says seed 9, lr 0.2"
    assert run.edited == run.to_dict()["edited"] == said
    before = {file.name: file.read_bytes() for file in folder.path.iterdir()}
    with pytest.raises(UserError, match=f"{said}; put the old values back .* train --spec"):
        requeue(run)
    assert {file.name: file.read_bytes() for file in folder.path.iterdir()} == before
    assert group_runs([Line(run)], [FIELDS["lr"]], FIELDS["val_acc"]) == []


def test_a_run_of_version_0_1_is_shown_with_its_spec_toml(tmp_path: Path) -> None:
    folder = make(tmp_path, status="stopped", lr=0.01)
    old = read_run(folder.path).summary.model_dump(mode="json", exclude={"spec_sha256"})
    (folder.path / "summary.json").write_text(json.dumps(old | {"epochs_done": 3}))
    edit(folder, "lr = 0.01", "lr = 0.5")
    run = read_run(folder.path)
    assert run.spec is not None
    assert (run.spec.lr, run.edited) == (0.5, "")
    (folder.path / "spec.toml").unlink()
    run = read_run(folder.path)
    assert run.spec is not None
    assert run.spec.lr == 0.01


def test_a_run_whose_settings_were_damaged_can_be_stopped_while_it_trains(tmp_path: Path) -> None:
    folder = make(tmp_path, status="running")
    (folder.path / "spec.toml").write_text("lr = [")
    run = Runs(tmp_path).get(folder.id)
    assert run.status == "unreadable"
    with pytest.raises(UserError, match="there is nothing to stop"):
        order(run, "stop")
    with Lock(folder.path / "lock") as lock:
        assert lock.take()
        order(run, "stop")
    assert folder.read_order() == "stop"
