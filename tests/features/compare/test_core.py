"""Comparison of runs: repetitions, differences to a baseline, and what tells runs apart."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cifar_tui.features.compare.core import (
    Asked,
    baseline_among,
    best_entry,
    compare,
    entries,
    entry_labels,
    labels,
)
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from tests.apps import save_run as save_run
from tests.told import tell

Save = Callable[..., RunFolder]


@pytest.fixture
def saved(save_run: Save) -> Callable[..., Run]:
    def save(*arguments: Any, **settings: Any) -> Run:
        return read_run(save_run(*arguments, **settings).path)

    return save


def test_labels_tell_the_runs_apart(saved: Callable[..., Run]) -> None:
    def made(*settings: dict[str, Any]) -> list[str]:
        return labels([saved(**each) for each in settings])

    assert made({"lr": 0.1}, {"lr": 0.2}) == ["lr 0.1", "lr 0.2"]
    assert made({"model": "resnet"}, {}) == ["resnet20", "simplenn"]
    assert made({"name": "a"}, {"name": "b"}) == ["a", "b"]
    assert made({"name": "same"}, {"name": "same"}) == ["same #1", "same #2"]
    long = made({"name": "y" * 30}, {"name": "y" * 30})
    assert long == ["y" * 30 + " #1", "y" * 30 + " #2"]
    pairs = ((0.1, False), (0.1, True), (0.2, False), (0.3, True))
    some = made(*({"lr": lr, "batch_norm": bn} for lr, bn in pairs))
    assert some == ["lr 0.1", "lr 0.1 bn", "lr 0.2", "lr 0.3 bn"]
    assert made({"batch_norm": True}, {}) == ["bn", "no bn"]
    assert made({"model": "resnet", "depth": 8}, {"model": "resnet"}) == ["resnet8", "resnet20"]
    assert made({"lr": 0.1}, {"lr": 0.1, "device": "cpu"}, {"lr": 0.3})[2] == "lr 0.3"


def test_runs_that_are_equal_but_for_the_seed_are_one_group(saved: Callable[..., Run]) -> None:
    runs = [
        saved((0.5, 0.6), lr=0.1, seed=0),
        saved((0.5, 0.7), lr=0.2, seed=0),
        saved((0.5, 0.8), lr=0.1, seed=1, device="cpu", name="other"),
    ]
    found = entries(runs, grouped=True)
    assert [[run.id for run in entry.runs] for entry in found] == [
        [runs[0].id, runs[2].id],
        [runs[1].id],
    ]
    assert entry_labels(found) == ["lr 0.1", "lr 0.2"]
    figure = found[0].figure("val_acc")
    assert figure is not None
    assert (figure.mean, figure.sd) == pytest.approx((0.7, 0.02**0.5))
    assert found[0].curve("val_acc")[1].y == pytest.approx(0.7)
    best = saved((0.75,))
    assert best_entry([*found, *entries([best])]).first.id == best.id
    assert found[0].status == "2 finished"


def test_runs_on_other_images_are_no_repetitions(save_run: Save) -> None:
    folders = [save_run(seed=0), save_run(seed=1)]
    summary = read_run(folders[1].path).summary
    folders[1].write_summary(summary.model_copy(update={"source": "demo"}))
    assert len(entries([read_run(f.path) for f in folders], grouped=True)) == 2


def test_differences_to_a_baseline(saved: Callable[..., Run]) -> None:
    runs = [saved((0.5, 0.6, 0.55)), saved((0.7,), lr=0.1), saved((), lr=0.2, status="queued")]
    base, other, queued = entries(runs)
    found = other.differences(base)
    assert found["val_acc"] == pytest.approx(0.1)
    assert found["last_val_acc"] == pytest.approx(0.15)
    assert found["epochs_done"] == -2
    assert queued.differences(base)["val_acc"] is None
    assert baseline_among([base, other], runs[1].id) is other
    assert baseline_among([base, other], "gone") is None


def test_where_a_run_diverged_is_said(save_run: Save) -> None:
    settings = {"epochs": 3}
    folders = [
        save_run((0.5, 0.1), status="diverged", **settings),
        save_run((0.5, 0.6, 0.7), seed=1, **settings),
    ]
    tell(folders[0], {"event": "epoch", "epoch": 3, "train_loss": float("nan"), "val_acc": 0.1})
    runs = [read_run(folder.path) for folder in folders]
    alone = entries(runs)
    assert (alone[0].broken_at, alone[0].remark) == (3, "diverged at 3")
    assert alone[0].status == "diverged at 3"
    assert (alone[1].broken_at, alone[1].remark) == (None, "")
    assert [s.y for s in alone[0].curve("train_loss")][2] is None
    (group,) = entries(runs, grouped=True)
    assert group.remark == "1 of 2 diverged at 3"
    assert group.curve("train_loss")[2].y == pytest.approx(1.2), "of those that are finite"


def test_a_loss_that_was_not_finite_for_a_while_is_no_divergence(save_run: Save) -> None:
    folder = save_run((0.5,))
    tell(folder, {"event": "epoch", "epoch": 2, "val_loss": float("inf"), "val_acc": 0.4})
    (entry,) = entries([read_run(folder.path)])
    assert entry.remark == "not finite at 2"
    assert entry.status == "finished"


def test_what_programs_get(saved: Callable[..., Run]) -> None:
    runs = [saved((0.5, 0.6), lr=0.1, seed=seed) for seed in (0, 1)] + [saved((0.7,), lr=0.2)]
    bare = compare(runs)
    assert set(bare) == {"settings", "runs"}
    assert [event["val_acc"] for event in bare["runs"][0]["epochs_log"]] == [0.5, 0.6]
    asked = Asked(runs[0], grouped=True, metric="val_loss", axis="step", smoothing=0.5)
    found = json.loads(json.dumps(compare(runs, asked)))
    assert found["baseline"] == runs[0].id
    assert found["runs"][2]["difference"]["val_acc"] == pytest.approx(0.1)
    assert [len(group["runs"]) for group in found["groups"]] == [2, 1]
    assert found["groups"][0]["figures"]["val_acc"]["n"] == 2
    assert found["groups"][1]["difference"]["val_acc"] == pytest.approx(0.1)
    curves = found["curves"]
    assert (curves["metric"], curves["over"], curves["smoothing"]) == ("val_loss", "step", 0.5)
    first = curves["curves"][0]["points"]
    assert [point["epoch"] for point in first] == [1, 2]
    assert first[1]["raw"] == pytest.approx(1.4)
    assert first[1]["y"] == pytest.approx((0.25 * 1.5 + 0.5 * 1.4) / 0.75)


def test_a_label_names_first_what_tells_most_and_no_more_than_is_needed(
    saved: Callable[..., Run],
) -> None:
    settings = [
        {"lr": lr, "subset": subset, "epochs": epochs, "batch_norm": True}
        for lr, subset, epochs in ((0.1, 0, 30), (0.01, 2000, 3), (0.001, 2000, 3), (0.5, 0, 3))
    ]
    runs = [saved((), **each) for each in settings]
    assert labels(runs) == ["lr 0.1", "lr 0.01", "lr 0.001", "lr 0.5"]
    assert labels([*runs, saved((), **{**settings[0], "epochs": 3})])[0] == "lr 0.1 epochs 30"
