"""What a net says of each image, on a net that was really trained, and through the command."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cifar_tui.data import demo
from cifar_tui.data.dataset import Dataset
from cifar_tui.errors import UserError
from cifar_tui.features.inspect import compute as evaluation
from cifar_tui.features.inspect.compute import evaluation_of
from cifar_tui.features.inspect.core import PICTURES, file_of
from cifar_tui.models.build import build_model
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs, read_meta, read_run
from cifar_tui.spec.settings import RunSpec
from tests.conftest import Command
from tests.training import demo_runs

drawn: Callable[[], Dataset] = functools.cache(demo.draw_demo)


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "draw_demo", drawn)


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Run:
    trained = Runs(demo_runs(tmp_path_factory)).find("last")
    shutil.copytree(trained.path, tmp_path / "runs" / trained.id)
    return read_run(tmp_path / "runs" / trained.id)


def as_course(run: Run) -> Run:
    """The same run as if it had been trained on the course's files."""
    summary = run.path / "summary.json"
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {"source": "course"}))
    meta = read_meta(run.path)
    RunFolder(run.path).write_meta(meta | {"dataset": {"source": "course"}})
    return read_run(run.path)


def plain_probabilities(run: Run) -> torch.Tensor:
    model = build_model(RunSpec())
    model.load_state_dict(torch.load(run.path / "best.pt", weights_only=True)["state_dict"])
    model.eval()
    images = torch.from_numpy(drawn().val.images).permute(0, 3, 1, 2) / 255
    mean = torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None]
    std = torch.tensor([0.2023, 0.1994, 0.2010])[:, None, None]
    with torch.no_grad():
        return model((images - mean) / std).softmax(1)


def test_it_says_what_plain_torch_says_and_what_training_said(run: Run) -> None:
    found = evaluation_of(run)
    probabilities, labels = plain_probabilities(run), torch.from_numpy(drawn().val.labels)
    best = probabilities.max(1)
    assert list(found.predicted) == best.indices.tolist()
    assert found.confidence == pytest.approx(best.values.tolist(), abs=1e-4)
    true = probabilities[torch.arange(len(labels)), labels]
    assert [found.truth(i) for i in range(len(found))] == pytest.approx(true.tolist(), abs=1e-4)
    assert run.summary.best is not None
    assert found.accuracy == run.summary.best.val_acc
    assert found.loss == pytest.approx(run.summary.best.val_loss, rel=1e-4)


def test_the_worst_images_are_kept_with_their_pixels(run: Run) -> None:
    found, images = evaluation_of(run), drawn().val.images
    assert len(found.pictures) == min(PICTURES, len(found.worst)) > 1
    for place, one in enumerate(found.worst[:PICTURES]):
        pixels = np.frombuffer(found.pixels(place), np.uint8).reshape(32, 32, 3)
        assert np.array_equal(pixels, images[one.image])


def test_it_is_computed_once_and_anew_for_better_weights(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluation_of(run)
    state = torch.get_rng_state()
    again = evaluation_of(run, redo=True)
    assert torch.equal(torch.get_rng_state(), state), "a run in training would draw other numbers"
    assert again == first
    computed: list[str] = []
    monkeypatch.setattr(evaluation, "_evaluate", lambda *a: computed.append("once") or again)
    assert evaluation_of(run) == first
    assert not computed
    content = torch.load(run.path / "best.pt", weights_only=True)
    content["state_dict"]["fc3.bias"] += 1
    torch.save(content, run.path / "best.pt")
    evaluation_of(run)
    assert computed


def test_what_cannot_be_kept_is_shown_all_the_same(run: Run) -> None:
    (run.path / "evaluation-val.json").mkdir()
    assert len(evaluation_of(run, "val")) == len(drawn().val.images)


def test_what_the_tick_raises_leaves_nothing(run: Run) -> None:
    def leave(done: int, images: int) -> None:
        assert 0 < done <= images == 1000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluation_of(run, tick=leave)
    assert not (run.path / file_of("val")).exists()


def test_a_split_without_labels_is_refused(run: Run, tiny_course: Path) -> None:
    with pytest.raises(UserError, match="has no labels"):
        evaluation_of(as_course(run), "test", data=str(tiny_course))


def test_other_images_are_evaluated_anew_and_have_no_names(run: Run, tiny_course: Path) -> None:
    evaluation_of(run)
    found = evaluation_of(as_course(run), data=str(tiny_course))
    assert len(found) == 200
    assert found.names == tuple("0123456789")


def test_the_train_split_is_what_the_run_was_trained_on(run: Run) -> None:
    content = torch.load(run.path / "best.pt", weights_only=True)
    content["spec"]["subset"] = 300
    torch.save(content, run.path / "best.pt")
    assert len(evaluation_of(run, "train")) == 300


def test_weights_whose_answers_are_not_finite_are_refused(run: Run) -> None:
    content = torch.load(run.path / "best.pt", weights_only=True)
    for name in ("fc2.weight", "fc3.weight"):
        content["state_dict"][name] *= 1e30
    torch.save(content, run.path / "best.pt")
    with pytest.raises(UserError, match="not finite"):
        evaluation_of(run)


def test_the_command_says_where_the_net_goes_wrong(run: Run, cifar: Command) -> None:
    flags = ("--runs", run.path.parent, "--worst", "3")
    done = cifar("inspect", "last", *flags, "--split", "test", "--pictures")
    assert done.returncode == 0, done.stderr
    first, remark, *lines = done.stdout.splitlines()
    assert "1,000 test images (synthetic), epoch 1" in first
    assert "never picks a model" in remark
    assert sum(line.startswith("crescent ") for line in lines) >= 2
    assert any("ECE" in line for line in lines)
    assert sum("predicted" in line and " at " in line for line in lines) == 2
    assert (run.path / file_of("test")).exists()
    found = json.loads(cifar("inspect", "last", *flags, "--json").stdout)
    assert (found["split"], found["images"], len(found["worst"])) == ("val", 1000, 3)
    assert sum(map(sum, found["confusion"])) == 1000
    right = sum(found["confusion"][label][label] for label in range(10))
    assert right / 1000 == found["accuracy"]
    assert found["classes"][0] == "disc"


def test_what_is_wrong_is_one_sentence(run: Run, cifar: Command) -> None:
    done = cifar("inspect", "last", "--runs", run.path.parent, "--worst", "-1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--worst must be 0 or more; got -1." in done.stderr
    (run.path / "best.pt").unlink()
    with pytest.raises(UserError, match="There is no checkpoint"):
        evaluation_of(run)
