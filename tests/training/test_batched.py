"""Runs trained as one batched model: each as if it had been trained alone."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.loading import open_dataset
from cifar_tui.queue.train_together import perform_together, shares_with
from cifar_tui.runs.events import read_epochs, to_json
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batched import Member, can_share, train_together
from cifar_tui.training.checkpoint import Checkpoint, load
from cifar_tui.training.trainer import train
from tests.conftest import Command
from tests.training import read

CPU = torch.device("cpu")
SMALL = RunSpec(augment=True, batch_norm=True, epochs=3, batch_size=128, lr=0.01)


@pytest.fixture(scope="module")
def dataset(tiny_course: Path) -> Dataset:
    return open_dataset(str(tiny_course))


def several(base: RunSpec, *changes: dict[str, Any]) -> list[RunSpec]:
    return [base.model_copy(update=change) for change in changes]


Result = tuple[list[dict[str, Any]], list[Checkpoint]]


def together(specs: list[RunSpec], dataset: Dataset, **options: Any) -> list[Result]:
    kept: list[list[Checkpoint]] = [[] for _ in specs]
    events: list[list[dict[str, Any]]] = [[] for _ in specs]
    members = [
        Member(spec, lambda checkpoint, best, kept=mine: kept.append(read(checkpoint.to_bytes())))
        for spec, mine in zip(specs, kept, strict=True)
    ]
    for number, event in train_together(members, dataset, CPU, lambda *_: 0.0, **options):
        events[number].append(to_json(event))
    return list(zip(events, kept, strict=True))


def alone(spec: RunSpec, dataset: Dataset) -> Result:
    kept: list[Checkpoint] = []

    def keep(checkpoint: Checkpoint, best: bool) -> None:
        kept.append(read(checkpoint.to_bytes()))

    return list(map(to_json, train(spec, dataset, CPU, lambda *_: 0.0, keep))), kept


def untimed(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    times = ("train_seconds", "val_seconds", "images_per_second")
    return [{k: v for k, v in event.items() if k not in times} for event in events]


GROUPS = {
    "lr": several(SMALL, {"lr": 0.005}, {"lr": 0.002}, {"lr": 0.001}),
    "penalties": several(SMALL, {"l1": 1e-4, "l2": 0.0}, {"l2": 1e-2}, {"momentum": 0.5}),
    "seeds and schedules": several(
        SMALL.model_copy(update={"batch_norm": False}),
        {"seed": 4},
        {"schedule": "step", "decay_every": 1},
        {"warmup": 2, "schedule": "cosine"},
    ),
    "resnet": several(
        RunSpec(model="resnet", depth=8, epochs=1, batch_size=250, lr=1e-4), {}, {"seed": 1}
    ),
    "nesterov": several(SMALL, {"nesterov": True}, {"nesterov": True, "momentum": 0.3}),
}


@pytest.mark.filterwarnings("error:There is a performance drop")
@pytest.mark.parametrize("name", GROUPS)
def test_each_run_is_as_if_trained_alone(name: str, dataset: Dataset) -> None:
    """Losses to 1e-3, weights to 1e-4, momentum to a tenth: sums in another order, no more."""
    for spec, (events, kept) in zip(GROUPS[name], together(GROUPS[name], dataset), strict=True):
        wanted, checkpoints = alone(spec, dataset)
        assert [e["event"] for e in events] == [e["event"] for e in wanted]
        for ours, theirs in zip(untimed(events), untimed(wanted), strict=True):
            assert ours.keys() == theirs.keys()
            for key, value in theirs.items():
                near = pytest.approx(value, abs=0.02 if key.endswith("acc") else 1e-3)
                assert ours[key] == (near if isinstance(value, float) else value)
        assert [c.epoch for c in kept] == [c.epoch for c in checkpoints]
        ours, theirs = kept[-1], checkpoints[-1]
        assert (ours.spec, ours.step, ours.lr) == (theirs.spec, theirs.step, theirs.lr)
        for key, tensor in theirs.state_dict.items():
            torch.testing.assert_close(ours.state_dict[key], tensor, rtol=1e-3, atol=1e-4)
        assert ours.optimiser["param_groups"] == theirs.optimiser["param_groups"]
        assert ours.optimiser["state"].keys() == theirs.optimiser["state"].keys()
        for number, state in theirs.optimiser["state"].items():
            wanted = state["momentum_buffer"]
            apart = ours.optimiser["state"][number]["momentum_buffer"] - wanted
            assert apart.norm() < 0.1 * wanted.norm(), "another weight's would be 1.4 apart"


def test_a_run_trained_together_resumes_alone(dataset: Dataset) -> None:
    """Its momentum is the weights' own: put to other weights, it moves the loss by 5e-3 here."""
    specs = several(SMALL.model_copy(update={"batch_size": 64}), {"lr": 0.02}, {"lr": 0.01})
    events, kept = together(specs, dataset)[0]
    (checkpoint,) = (c for c in kept if c.epoch == 2)
    going = train(specs[0], dataset, CPU, lambda *_: 0.0, lambda *_: None, resume=checkpoint)
    rest = list(map(to_json, going))
    for resumed, whole in zip(untimed(rest[1:]), untimed(events[5:]), strict=True):
        for key, value in whole.items():
            near = pytest.approx(value, abs=0.006 if key.endswith("acc") else 1e-4)
            assert resumed[key] == (near if isinstance(value, float) else value)


def test_one_that_diverges_ends_alone(dataset: Dataset) -> None:
    good, bad = several(SMALL.model_copy(update={"batch_norm": False}), {}, {"lr": 100.0})
    (fine, _), (broken, _) = together([good, bad], dataset)
    assert broken[-1]["status"] == "diverged"
    assert not any(math.isnan(e["train_loss"]) for e in fine if e["event"] == "epoch")
    wanted, _ = alone(good, dataset)
    assert fine[-1] == wanted[-1]
    assert fine[-3]["val_loss"] == pytest.approx(wanted[-3]["val_loss"], abs=1e-3)


def test_one_can_be_stopped_alone(dataset: Dataset) -> None:
    specs = GROUPS["lr"]
    (first, _), (second, _), _ = together(specs, dataset, left=lambda: {1})
    assert [e["event"] for e in second] == ["start"]
    assert first[-1]["status"] == "finished"


def test_only_runs_that_differ_in_numbers_share() -> None:
    assert can_share(SMALL, SMALL.model_copy(update={"lr": 0.5, "seed": 9, "name": "other"}))
    for change in ({"batch_norm": False}, {"epochs": 4}, {"batch_size": 64}, {"augment": False}):
        assert not can_share(SMALL, SMALL.model_copy(update=change))
    drops = SMALL.model_copy(update={"dropout": 0.5})
    assert not can_share(drops, drops)


def test_each_gets_its_own_folder_and_can_be_stopped(tmp_path: Path, tiny_course: Path) -> None:
    base = {"data": str(tiny_course), "epochs": 3, "device": "cpu"}
    specs = [RunSpec.model_validate({**base, "lr": lr}) for lr in (0.01, 0.02, 0.03)]
    folders = [RunFolder.create(tmp_path, spec) for spec in specs]
    folders[1].write_order("stop")
    assert all(shares_with(folders[0], other) for other in folders)
    perform_together(folders)
    first, second, third = Runs(tmp_path).all()
    assert [run.status for run in (first, second, third)] == ["finished", "stopped", "finished"]
    for folder, run in ((folders[0], first), (folders[2], third)):
        assert [epoch.epoch for epoch in read_epochs(folder.path)] == [1, 2, 3]
        assert run.summary.best is not None
        assert load(folder.best).spec == run.spec
    assert not shares_with(folders[0], folders[1]), "one with a checkpoint goes on alone"


def test_the_command_trains_a_grid_together(cifar: Command, tiny_course: Path) -> None:
    grid = ["--grid", "lr=0.01,0.1", "--together", "--json"]
    done = cifar("train", "--data", str(tiny_course), "--epochs", "2", *grid)
    assert done.returncode == 0, done.stderr
    listed = json.loads(cifar("runs", "list", "--json").stdout)
    assert [(run["status"], run["epochs_done"]) for run in listed] == [("finished", 2)] * 2
