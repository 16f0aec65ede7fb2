"""A notebook's checkpoint becomes a run to list, compare and export, or is refused."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifar_tui import cli
from cifar_tui.errors import UserError
from cifar_tui.features.import_.compute import import_checkpoint
from cifar_tui.features.predict.compute import export_predictions
from cifar_tui.features.predict.core import read_predictions
from cifar_tui.models.build import build_model
from cifar_tui.models.state_dicts import recognise
from cifar_tui.query.fields import FIELDS
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.spec.checks import make_spec
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.checkpoint import load
from tests.training import demo_runs

DEMO = {"data": "demo"}


@pytest.fixture
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Runs(demo_runs(tmp_path_factory)).find("last")


@pytest.fixture
def weights(trained: Run) -> dict[str, Tensor]:
    return torch.load(trained.path / "best.pt", weights_only=True)["state_dict"]


@pytest.fixture
def put(tmp_path: Path) -> Callable[[Any], Path]:
    def save(content: Any) -> Path:
        path = tmp_path / "notebook.pth"
        torch.save(content, path)
        return path

    return save


def test_the_templates_dict_becomes_a_run(
    put: Callable[[Any], Path], weights: dict[str, Tensor], trained: Run, tmp_path: Path
) -> None:
    file = put({"state_dict": weights, "epoch": 11, "lr": 0.05})
    runs = tmp_path / "runs"
    found = import_checkpoint(file, runs, DEMO | {"tags": "mine"})
    run = Runs(runs).find("notebook")
    assert run == found.run
    assert (run.status, run.summary.epochs_done, run.tags) == ("finished", 11, ("imported", "mine"))
    best = trained.summary.best
    assert best is not None
    assert run.summary.best is not None
    assert run.summary.best.val_acc == best.val_acc
    assert run.summary.best.val_loss == pytest.approx(best.val_loss, rel=1e-4)
    assert [e.epoch for e in read_epochs(run.path)] == [11]
    assert "activation relu" in found.sentence()
    assert "notebook.pth" in run.notes.note
    checkpoint = load(run.path / "best.pt")
    assert (checkpoint.epoch, checkpoint.lr) == (11, 0.05)
    export_predictions(run, tmp_path / "theirs.csv")
    export_predictions(trained, tmp_path / "ours.csv")
    assert read_predictions(tmp_path / "theirs.csv") == read_predictions(tmp_path / "ours.csv")


@pytest.mark.parametrize(
    "change",
    [
        lambda w: {f"module.{k}": v for k, v in w.items()},
        lambda w: {"model_state_dict": {f"_orig_mod.module.{k}": v for k, v in w.items()}},
        lambda w: {"state_dict": {k: v.half().float().double() for k, v in w.items()}},
        lambda w: {"state_dict": w, "epoch": torch.zeros(3), "lr": "fast"},
    ],
    ids=["parallel", "compiled", "double", "odd figures"],
)
def test_other_ways_to_save_are_understood(
    put: Callable[[Any], Path], weights: dict[str, Tensor], tmp_path: Path, change: Any
) -> None:
    found = import_checkpoint(put(change(weights)), tmp_path / "runs", DEMO).run
    assert found.summary.epochs_done == 1
    assert found.best_val_acc > 0.2


def test_a_checkpoint_of_ours_tells_that_it_was_trained_on_other_images(
    trained: Run, tiny_course: Path, tmp_path: Path
) -> None:
    file = trained.path / "best.pt"
    other = import_checkpoint(file, tmp_path / "runs", {"data": str(tiny_course)}).run
    assert (other.notes.note, other.synthetic) == ("from best.pt; trained on other images", False)
    assert import_checkpoint(file, tmp_path / "runs", DEMO).run.notes.note == "from best.pt"


def test_a_checkpoint_of_ours_knows_its_settings(trained: Run, tmp_path: Path) -> None:
    found = import_checkpoint(trained.path / "best.pt", tmp_path / "runs", DEMO)
    assert found.assumed == ""
    assert found.run.spec is not None
    assert found.run.spec.lr == 0.05


@pytest.mark.parametrize(
    ("settings", "rename"),
    [
        ({"model": "simplenn", "batch_norm": True}, ()),
        ({"model": "resnet", "depth": 8, "shortcut": "A"}, ("fc.", "linear.")),
        ({"model": "resnet", "depth": 14, "shortcut": "B"}, (".shortcut.", ".downsample.")),
        ({"model": "resnet", "depth": 8, "shortcut": "none"}, ()),
        ({"model": "resnet", "depth": 8, "shortcut": "B", "width": 4, "conv_bias": True}, ()),
    ],
)
def test_networks_are_told_by_their_weights(settings: dict[str, Any], rename: Any) -> None:
    weights = build_model(RunSpec(**settings)).state_dict()
    theirs = {n.replace(*rename) if rename else n: w for n, w in weights.items()}
    old = {n: w for n, w in theirs.items() if "num_batches" not in n}
    found = recognise(old, shortcut=settings.get("shortcut", "A"))
    assert make_spec(found.settings) == make_spec(settings)
    assert found.matched == ""
    assert found.state_dict.keys() == weights.keys()
    assert all(torch.equal(found.state_dict[n], w) for n, w in weights.items())


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "simplenn"},
        {"model": "simplenn", "batch_norm": True},
        {"model": "resnet", "depth": 14, "shortcut": "A"},
        {"model": "resnet", "depth": 20, "shortcut": "B", "width": 8},
        {"model": "resnet", "depth": 8, "shortcut": "B", "conv_bias": True},
    ],
)
def test_weights_under_other_names_are_matched_by_order_and_shapes(
    settings: dict[str, Any],
) -> None:
    weights = build_model(RunSpec(**settings)).state_dict()
    theirs = {f"part{i}.{n.rpartition('.')[2]}": w for i, (n, w) in enumerate(weights.items())}
    found = recognise(theirs)
    assert make_spec(found.settings) == make_spec(settings)
    assert "part0.weight is conv1.weight" in found.matched
    assert all(torch.equal(found.state_dict[n], w) for n, w in weights.items())
    first, second, *others = theirs
    swapped = {second: theirs[second], first: theirs[first]} | {n: theirs[n] for n in others}
    with pytest.raises(UserError, match="its names are neither"):
        recognise(swapped)


def test_what_a_file_does_not_tell_is_not_made_up(
    put: Callable[[Any], Path],
    weights: dict[str, Tensor],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = tmp_path / "runs"
    run = import_checkpoint(put(weights), runs, DEMO).run
    assert {"lr", "l2", "epochs", "seed", "augment"} <= set(run.summary.unknown)
    assert [FIELDS[name].text(run) for name in ("lr", "seed", "activation")] == ["-", "-", "relu"]
    assert [epoch.lr for epoch in read_epochs(run.path)] == [None]
    table = tmp_path / "table.csv"
    columns = ["--columns", "lr,seed,activation", "--output", str(table)]
    assert cli.run(["runs", "save", run.id, "--runs", str(runs), *columns]) == 0
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert (row["lr"], row["seed"], row["activation"]) == ("", "", "relu")
    capsys.readouterr()
    assert cli.run(["runs", "list", "--runs", str(runs), "--group-by", "lr", "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)
    assert [group["settings"]["lr"] for group in groups] == [None]


def test_mean_and_std_of_its_images_can_be_told(
    put: Callable[[Any], Path], weights: dict[str, Tensor], tmp_path: Path
) -> None:
    def loss_with(**given: str) -> float:
        best = import_checkpoint(put(weights), tmp_path / "runs", DEMO | given).run.summary.best
        assert best is not None and best.val_loss is not None
        return best.val_loss

    told = {"mean": "0.4914,0.4822,0.4465", "std": "0.2023,0.1994,0.2010"}
    assert loss_with(normalisation="custom", **told) == loss_with(normalisation="course")
    assert loss_with(normalisation="imagenet") != loss_with(normalisation="course")
    with pytest.raises(UserError, match="std must be three numbers above 0"):
        loss_with(normalisation="custom", std="0,1,1")


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


REFUSED: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "classes": (lambda w: w | {"fc3.bias": torch.zeros(100)}, r"fc3.bias is 100, not 10\.$"),
    "surplus": (lambda w: w | {"fc4.bias": torch.zeros(1)}, r"fc4.bias is unknown\.$"),
    "missing": (lambda w: {k: v for k, v in w.items() if k != "fc2.bias"}, "fc2.bias is missing"),
    "bomb": (
        lambda w: w | {"fc1.bias": torch.zeros(1).expand(10**9, 10**6)},
        "more numbers than its bytes",
    ),
    "kind": (lambda w: w | {"fc1.bias": "\x1b[31m"}, "fc1.bias is no tensor"),
    "sparse": (
        lambda w: w | {"fc1.bias": torch.zeros(120).to_sparse()},
        "holds torch.serialization._get_layout",
    ),
    "nan": (lambda w: w | {"fc1.bias": torch.full((120,), torch.nan)}, "not finite"),
    "depth": (lambda w: {"layer1.900.conv1.weight": torch.zeros(1)}, "depth must be"),
    "others": (lambda w: {"\x1b[31m": torch.zeros(1)}, r"\\x1b\[31m, \.\.\."),
    "numbers": (lambda w: {1: torch.zeros(1)}, "no named weights"),
    "list": (lambda w: [1], "no state dict"),
    "module": (
        lambda w: nn.Linear(1, 1),
        r"safely: it holds torch.nn.modules.linear.Linear; torch.save\(net.state_dict\(\), FILE\)",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_named_and_leaves_nothing(
    put: Callable[[Any], Path], weights: dict[str, Tensor], tmp_path: Path, what: str
) -> None:
    change, sentence = REFUSED[what]
    with pytest.raises(UserError, match=sentence) as refused:
        import_checkpoint(put(change(weights)), tmp_path / "runs", DEMO)
    assert str(refused.value).isprintable()
    assert Runs(tmp_path / "runs").all() == []


def test_nothing_is_run_or_read_that_is_no_checkpoint(
    put: Callable[[Any], Path], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    huge = tmp_path / "huge.pth"
    with huge.open("wb") as file:
        file.truncate(2**40)
    files = [put({"state_dict": Evil(victim)}), huge, tmp_path, tmp_path / "gone.pth"]
    for path in files:
        with pytest.raises(UserError):
            import_checkpoint(path, tmp_path / "runs", DEMO)
    assert not victim.exists()


NOT_CHECKPOINTS = {
    "empty": (b"", "is empty"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "page": (b"\n<!DOCTYPE html><html>", "is a web page"),
    "array": (b"\x93NUMPY\x01\x00", "is a NumPy array"),
    "notebook": (b'{"cells": []}', "is a text file"),
}


@pytest.mark.parametrize("what", NOT_CHECKPOINTS)
def test_what_was_taken_for_a_checkpoint_is_named(tmp_path: Path, what: str) -> None:
    content, sentence = NOT_CHECKPOINTS[what]
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        import_checkpoint(tmp_path / "net.pth", tmp_path / "runs", DEMO)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_cut_short_is_named(
    weights: dict[str, Tensor], tmp_path: Path, is_zip: bool
) -> None:
    file = tmp_path / "net.pth"
    torch.save(weights, file, _use_new_zipfile_serialization=is_zip)
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(UserError, match="is cut short"):
        import_checkpoint(file, tmp_path / "runs", DEMO)


def test_the_command_wants_real_images_unless_told(
    put: Callable[[Any], Path],
    weights: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    file = str(put(weights))
    assert cli.run(["import", file]) == 2
    assert "--data DIR" in capsys.readouterr().err
    assert cli.run(["import", file, "--data", "demo", "--activation", "swish", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["synthetic"], told["assumed"]) == (
        "finished",
        True,
        "normalisation course",
    )
    assert Runs(Path("saved_model")).find("notebook").spec.activation == "swish"  # type: ignore[union-attr]
