"""Events: what is written is what was read before, by this version and by 0.1."""

import json
from pathlib import Path

import pytest

from cifar_tui.console.printing import run_details
from cifar_tui.files import dump_json
from cifar_tui.runs.events import (
    CheckpointSaved,
    Ended,
    EpochDone,
    Remark,
    Resumed,
    RunEvent,
    Started,
    from_json,
    read_epochs,
    read_events,
    to_json,
    to_line,
)
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.record import Point

BEST = Point(epoch=1, val_acc=0.5, val_loss=1.5, train_acc=0.4, train_loss=1.6)
EPOCH = EpochDone(1, 0.1, 1.6, 0.4, 1.5, 0.5, 2.0, 0.25, 1000.0, time=1795465763.25)
ALL: list[RunEvent] = [
    Started(3, 82_030, 2.3034, 2.3026, id="x", time=1.5),
    Resumed(1, BEST),
    Resumed(0, None),
    EPOCH,
    CheckpointSaved(1, best=True),
    Remark("one by one"),
    Ended("failed", "because", "Traceback", {"id": "x", "best": None}),
]
OF_0_1 = """\
{"event": "start", "epochs": 2, "parameters": 82030, "initial_loss": 2.31, "chance_loss": 2.3026, "time": 1.5, "id": "a"}
{"event": "epoch", "epoch": 1, "lr": 0.1, "train_loss": 1.6, "train_acc": 0.4, "train_seconds": 2.0, "images_per_second": 1000.0, "val_loss": 1.5, "val_acc": 0.5, "val_seconds": 0.25, "time": 1795465763.25}
{"event": "checkpoint", "epoch": 1, "best": true, "time": 2.5}
{"event": "end", "status": "stopped", "reason": "stopped by the user", "time": 3.5, "summary": {"id": "a", "status": "stopped"}}
{"event": "resume", "epoch": 1, "best": {"val_acc": 0.5, "val_loss": 1.5, "train_acc": 0.4, "train_loss": 1.6, "epoch": 1}, "time": 4.5}
{"event": "epoch", "epoch": 2, "lr": 0.1, "train_loss": null, "train_acc": 0.1, "train_seconds": 2.0, "images_per_second": 1000.0, "val_loss": null, "val_acc": 0.1, "val_seconds": 0.25, "time": 5.5, "not_finite": ["train_loss", "val_loss"]}
{"event": "end", "status": "diverged", "reason": "diverged at epoch 2: the loss is not finite", "time": 6.5, "summary": {"id": "a", "status": "diverged"}}
"""  # noqa: E501
SUMMARY = {
    "id": "a",
    "name": "simplenn",
    "status": "diverged",
    "reason": "diverged at epoch 2: the loss is not finite",
    "epochs_done": 2,
    "epochs": 2,
    "best": {"epoch": 1, "val_acc": 0.5, "val_loss": 1.5, "train_acc": 0.4, "train_loss": 1.6},
    "last": {"epoch": 2, "val_acc": 0.1, "val_loss": None, "train_acc": 0.1, "train_loss": None},
    "seconds": 5.0,
    "spec": {"model": "simplenn", "epochs": 2, "lr": 0.1},
}


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event: RunEvent) -> None:
    assert from_json(json.loads(to_line(event))) == event


def test_what_is_not_finite_is_null_and_named() -> None:
    line = json.loads(to_line(EpochDone(1, 0.1, float("nan"), 0.4, float("inf"), 0.5, 1, 1, 1)))
    assert (line["train_loss"], line["val_loss"]) == (None, None)
    assert line["not_finite"] == ["train_loss", "val_loss"]
    assert from_json(line).not_finite == ("train_loss", "val_loss")


@pytest.mark.parametrize(
    "values",
    [{}, {"event": []}, {"event": "party"}, {"event": "epoch"}, {"event": "epoch", "epoch": 0}],
)
def test_what_is_no_event_is_passed_over(values: dict[str, object]) -> None:
    assert from_json(values) is None


def test_a_folder_of_version_0_1_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    (path / "events.jsonl").write_text(OF_0_1)
    (path / "summary.json").write_bytes(dump_json(SUMMARY))
    (path / "spec.toml").write_text('model = "simplenn"\nepochs = 2\nlr = 0.1\n')
    written = [json.loads(line) for line in OF_0_1.splitlines()]
    assert [json.loads(json.dumps(to_json(event))) for event in read_events(path)] == written
    assert [epoch.point for epoch in read_epochs(path)] == [
        Point.model_validate(SUMMARY["best"]),
        Point.model_validate(SUMMARY["last"]),
    ]
    run = read_run(path)
    assert (run.problem, run.status, run.summary.best) == ("", "diverged", BEST)
    told = run_details(run)
    assert json.loads(json.dumps(told["epochs"])) == [written[1], written[5]]
    assert json.loads(json.dumps(told["events"])) == [e for e in written if e["event"] != "epoch"]


def test_the_best_epoch_is_the_first_of_the_highest_val_acc_with_finite_losses() -> None:
    assert BEST.beats(None)
    assert not BEST.model_copy(update={"epoch": 2}).beats(BEST)
    assert BEST.model_copy(update={"val_acc": 0.51}).beats(BEST)
    assert not BEST.model_copy(update={"val_acc": 0.9, "train_loss": None}).beats(BEST)
