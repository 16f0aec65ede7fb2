"""The engine against a plain loop, its events, its checkpoints, and the ways a run can end."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.loading import open_dataset
from cifar_tui.errors import UserError
from cifar_tui.runs.events import CheckpointSaved, to_json
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import PlainBatches
from cifar_tui.training.checkpoint import Checkpoint
from cifar_tui.training.device import check_run
from cifar_tui.training.schedule import lr_at
from cifar_tui.training.step import evaluate
from cifar_tui.training.trainer import seeded_model, train
from tests.training import read

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tiny_course: Path) -> Dataset:
    return open_dataset(str(tiny_course))


def run(spec: RunSpec, dataset: Dataset, **options: Any) -> tuple[list[dict], list[Checkpoint]]:
    """Train, and read each epoch's checkpoint back as it was written."""
    kept: list[Checkpoint] = []

    def keep(checkpoint: Checkpoint, is_best: bool) -> None:
        if checkpoint.epoch:
            kept.append(read(checkpoint.to_bytes()))

    options.setdefault("tick", lambda *_: 0.0)
    events = [to_json(e) for e in train(spec, dataset, CPU, keep=keep, **options)]
    return events, kept


def test_events_tell_the_whole_run(dataset: Dataset) -> None:
    events, kept = run(RunSpec(epochs=3, lr=0.05), dataset)
    kinds = [event["event"] for event in events]
    assert kinds == ["start", *["epoch", "checkpoint"] * 3, "end"]
    assert events[0]["parameters"] == 82_030
    assert events[0]["initial_loss"] == pytest.approx(math.log(10), abs=0.03)
    assert events[0]["chance_loss"] == pytest.approx(2.3026, abs=1e-4)
    epoch = events[1]
    assert set(epoch) >= {
        "epoch",
        "lr",
        "train_loss",
        "train_acc",
        "val_loss",
        "val_acc",
        "train_seconds",
        "val_seconds",
        "images_per_second",
    }
    assert events[5]["train_loss"] < events[1]["train_loss"]
    assert events[-1]["status"] == "finished"
    assert [c.epoch for c in kept] == [1, 2, 3]


def test_epoch_means_are_sample_weighted_and_validation_is_whole(dataset: Dataset) -> None:
    spec = RunSpec(epochs=1, val_batch_size=77)
    events, kept = run(spec, dataset)
    model = seeded_model(spec)
    model.load_state_dict(kept[0].state_dict)
    model.eval()
    whole = PlainBatches(dataset.val, RunSpec(val_batch_size=200), CPU)
    (images, labels), *rest = list(whole)
    assert not rest
    with torch.no_grad():
        logits = model(images)
    assert events[1]["val_loss"] == pytest.approx(
        float(nn.functional.cross_entropy(logits, labels)), rel=1e-5
    )
    assert events[1]["val_acc"] == float((logits.argmax(1) == labels).double().mean())


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(dataset: Dataset) -> None:
    spec = RunSpec(epochs=2, augment=True, dropout=0.2)

    def figures(spec: RunSpec) -> list[tuple[float, float]]:
        events, _ = run(spec, dataset)
        return [(e["train_loss"], e["val_loss"]) for e in events if e["event"] == "epoch"]

    assert figures(spec) == figures(spec)
    assert figures(spec) != figures(spec.model_copy(update={"seed": 1}))


@pytest.mark.parametrize("model", ["simplenn", "resnet"])
def test_resuming_gives_the_uninterrupted_runs_numbers(model: str, dataset: Dataset) -> None:
    spec = RunSpec(
        model=model,
        depth=8,
        epochs=4 if model == "simplenn" else 2,
        batch_norm=True,
        augment=True,
        dropout=0.1,
        schedule="cosine",
    )
    whole, kept = run(spec, dataset)
    rest, kept_again = run(spec, dataset, resume=kept[0])
    assert (rest[0]["event"], rest[0]["epoch"]) == ("resume", 1)
    exact = ("epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc")
    want = [[e[k] for k in exact] for e in whole if e["event"] == "epoch"][1:]
    assert [[e[k] for k in exact] for e in rest if e["event"] == "epoch"] == want
    assert kept_again[-1].best == kept[-1].best
    for name, tensor in kept[-1].state_dict.items():
        assert torch.equal(tensor, kept_again[-1].state_dict[name])


def test_a_loss_that_is_not_finite_ends_the_run_without_a_checkpoint(dataset: Dataset) -> None:
    spec = RunSpec(epochs=5)
    _, kept = run(spec, dataset)
    wild = spec.model_copy(update={"lr": 100.0, "l2": 10.0})
    events, kept_after = run(wild, dataset, resume=kept[0])
    assert events[-2]["event"] == "epoch"
    assert not math.isfinite(events[-2]["train_loss"])
    assert (events[-1]["event"], events[-1]["status"]) == ("end", "diverged")
    assert events[-1]["reason"].startswith("diverged at epoch 2:")
    assert kept_after == []


def test_a_run_stopped_in_its_first_epoch_resumes_from_its_initial_weights(
    dataset: Dataset,
) -> None:
    spec = RunSpec(epochs=2, augment=True)
    whole, _ = run(spec, dataset)
    kept: list[Checkpoint] = []

    def stop(*_: object) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        for _ in train(spec, dataset, CPU, stop, lambda c, _: kept.append(read(c.to_bytes()))):
            pass
    (checkpoint,) = kept
    assert (checkpoint.epoch, checkpoint.step, checkpoint.best) == (0, 0, None)
    rest, _ = run(spec, dataset, resume=checkpoint)
    losses = [e["train_loss"] for e in rest if e["event"] == "epoch"]
    assert losses == [e["train_loss"] for e in whole if e["event"] == "epoch"]


def test_what_others_set_for_the_process_does_not_reach_the_next_epoch(dataset: Dataset) -> None:
    seen: list[bool] = []

    def tick(*_: object) -> float:
        seen.append(torch.backends.cudnn.allow_tf32)
        return 0.0

    for event in train(RunSpec(epochs=2), dataset, CPU, tick, lambda *_: None):
        torch.backends.cudnn.allow_tf32 = isinstance(event, CheckpointSaved)
    assert seen and not any(seen)


def test_a_run_is_checked_without_a_change_to_the_one_in_training(tiny_course: Path) -> None:
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=True, allow_tf32=True, deterministic=False):
        check_run(RunSpec(data=str(tiny_course), precision="fp32"))
        assert (cudnn.allow_tf32, cudnn.deterministic) == (True, False)
    with pytest.raises(UserError, match="tf32 needs an NVIDIA GPU"):
        check_run(RunSpec(data=str(tiny_course), precision="tf32", device="cpu"))


def test_early_stop_waits_its_patience_and_says_so(dataset: Dataset) -> None:
    events, _ = run(RunSpec(epochs=50, lr=1e-9, early_stop=2), dataset)
    epochs = [e for e in events if e["event"] == "epoch"]
    assert len(epochs) == 3
    assert "no better val_acc for 2 epochs" in events[-1]["reason"]


def test_bf16_trains_close_to_fp32_with_weights_in_fp32(dataset: Dataset) -> None:
    full, _ = run(RunSpec(epochs=2), dataset)
    half, kept = run(RunSpec(epochs=2, precision="bf16"), dataset)
    assert half[1]["train_loss"] != full[1]["train_loss"]
    assert half[1]["train_loss"] == pytest.approx(full[1]["train_loss"], rel=0.02)
    assert {t.dtype for t in kept[0].state_dict.values()} == {torch.float32}


def reference_lrs(spec: RunSpec) -> list[float]:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=spec.lr)
    scheduler: Any
    if spec.schedule == "step":
        scheduler = torch.optim.lr_scheduler.StepLR(optimiser, spec.decay_every, spec.decay_factor)
    elif spec.schedule == "milestones":
        scheduler = torch.optim.lr_scheduler.MultiStepLR(
            optimiser, list(spec.milestones), spec.decay_factor
        )
    else:
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, spec.epochs)
    found = []
    for _ in range(spec.epochs):
        found.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    "spec",
    [
        RunSpec(schedule="step", decay_every=10, lr=0.1),
        RunSpec(schedule="milestones", milestones=(5, 9), decay_factor=0.5),
        RunSpec(schedule="cosine", epochs=17),
    ],
    ids=lambda spec: spec.schedule,
)
def test_schedules_are_pytorchs(spec: RunSpec) -> None:
    ours = [lr_at(spec, epoch) for epoch in range(1, spec.epochs + 1)]
    assert ours == pytest.approx(reference_lrs(spec))


def test_the_rate_falls_before_the_epoch_after_a_milestone() -> None:
    spec = RunSpec(schedule="step", decay_every=10, lr=0.1)
    assert lr_at(spec, 10) == pytest.approx(0.1)
    assert lr_at(spec, 11) == pytest.approx(0.01)


def test_warm_up_rises_linearly_to_the_full_rate() -> None:
    spec = RunSpec(warmup=3, lr=0.4)
    assert [lr_at(spec, e) for e in (1, 2, 3, 4, 5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])


def test_evaluation_leaves_no_trace_in_batch_statistics(dataset: Dataset) -> None:
    spec = RunSpec(batch_norm=True)
    model = seeded_model(spec)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    evaluate(model, PlainBatches(dataset.val, spec, CPU), spec, CPU)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_resuming_after_the_last_epoch_ends_the_run(dataset: Dataset) -> None:
    spec = RunSpec(epochs=2)
    _, kept = run(spec, dataset)
    events, _ = run(spec, dataset, resume=kept[-1])
    assert [event["event"] for event in events] == ["resume", "end"]
    assert events[-1]["status"] == "finished"
