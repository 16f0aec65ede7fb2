"""Ensembles and flips are what one would compute by hand, and validation alone chooses."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cifar_tui import cli
from cifar_tui.data.demo import draw_demo
from cifar_tui.errors import UserError
from cifar_tui.features.predict.compute import (
    Candidate,
    Ensemble,
    agreement,
    export_best,
    export_choice,
    export_predictions,
)
from cifar_tui.features.predict.core import read_predictions, record_path
from cifar_tui.models.build import build_model
from cifar_tui.runs.listing import Run, Runs, read_run
from cifar_tui.spec.settings import RunSpec
from tests.conftest import Command
from tests.training import demo_runs


def by_hand(run: Run, split: str, mirrored: bool = False) -> Tensor:
    """Softmax outputs (N,10) with nothing of this program but the network."""
    state = torch.load(run.path / "best.pt", weights_only=True)["state_dict"]
    model = build_model(RunSpec())
    model.load_state_dict(state)
    model.eval()
    images = torch.from_numpy(getattr(draw_demo(), split).images).permute(0, 3, 1, 2) / 255
    mean = torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None]
    std = torch.tensor([0.2023, 0.1994, 0.2010])[:, None, None]
    images = (images - mean) / std
    with torch.no_grad():
        return model(torch.flip(images, [3]) if mirrored else images).double().softmax(1)


def val_acc(probabilities: Tensor) -> float:
    labels = torch.from_numpy(draw_demo().val.labels)
    return (probabilities.argmax(1) == labels).double().mean().item()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """A trained run, and one whose weights are another's: noise was added to them."""
    trained = Runs(demo_runs(tmp_path_factory)).find("last")
    runs = tmp_path_factory.mktemp("two")
    found = []
    for number, name in enumerate(("20260101-000000-one", "20260102-000000-two")):
        shutil.copytree(trained.path, runs / name)
        content = torch.load(runs / name / "best.pt", weights_only=True)
        chance = torch.Generator().manual_seed(number)
        for weights in content["state_dict"].values():
            weights += 0.05 * torch.randn(weights.shape, generator=chance)
        torch.save(content, runs / name / "best.pt")
        found.append(read_run(runs / name))
    return found


@pytest.fixture(scope="module")
def outputs(two: list[Run]) -> dict[tuple[int, str, bool], Tensor]:
    """By hand: each run's outputs on each split, straight and mirrored."""
    ways = [(i, s, m) for i in (0, 1) for s in ("val", "test") for m in (False, True)]
    return {(i, split, m): by_hand(two[i], split, m) for i, split, m in ways}


@pytest.fixture(scope="module")
def weighed(two: list[Run]) -> Ensemble:
    ensemble = Ensemble(two)
    ensemble.weigh(flips=True)
    return ensemble


Outputs = dict[tuple[int, str, bool], Tensor]


def combined(outputs: Outputs, split: str, runs: tuple[int, ...], flips: bool) -> Tensor:
    ways = [False, True] if flips else [False]
    return torch.stack([outputs[i, split, m] for i in runs for m in ways]).mean(0)


def test_every_choice_is_worth_what_one_computes_by_hand(
    weighed: Ensemble, outputs: Outputs
) -> None:
    wanted = {
        (runs, flips): val_acc(combined(outputs, "val", runs, flips))
        for runs in ((0,), (1,), (0, 1))
        for flips in (False, True)
    }
    found = {(choice.runs, choice.flips): choice.val_acc for choice in weighed.choices}
    assert found == pytest.approx(wanted, abs=0.0011)
    assert len(set(wanted.values())) > 3
    assert weighed.best.val_acc == max(found.values())


@pytest.mark.parametrize("runs", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("flips", [False, True])
def test_the_labels_are_those_of_the_mean(
    weighed: Ensemble, outputs: Outputs, runs: tuple[int, ...], flips: bool
) -> None:
    labels = weighed.predict(Candidate(runs, flips, 0.0))
    wanted = combined(outputs, "test", runs, flips).argmax(1).tolist()
    assert sum(a != b for a, b in zip(labels, wanted, strict=True)) <= 1
    assert len(set(labels)) > 2


def test_one_run_without_flips_predicts_what_its_export_says(
    weighed: Ensemble, two: list[Run], tmp_path: Path
) -> None:
    export_predictions(two[1], tmp_path / "p.csv")
    assert weighed.predict(Candidate((1,), False, 0.0)) == read_predictions(tmp_path / "p.csv")
    assert not record_path(tmp_path / "p.csv").exists()


def test_of_equal_choices_the_simplest_is_taken(weighed: Ensemble) -> None:
    ensemble = object.__new__(Ensemble)
    ensemble.runs = weighed.runs
    ensemble.choices = [
        Candidate((0, 1), True, 0.5),
        Candidate((1,), True, 0.5),
        Candidate((1,), False, 0.5),
    ]
    assert ensemble.best == Candidate((1,), False, 0.5)
    ensemble.choices.append(Candidate((0, 1), False, 0.6))
    assert ensemble.best == Candidate((0, 1), False, 0.6)
    assert ensemble.lines(2) == [
        "> ensemble of 2  0.6000",
        "  tiny           0.5000",
        "  and 2 others",
    ]


def test_what_was_tried_and_taken_stands_beside_the_file(
    weighed: Ensemble, two: list[Run], tmp_path: Path
) -> None:
    output = tmp_path / "mine.csv"
    told = export_choice(weighed, output)
    record = json.loads((tmp_path / "mine.json").read_text())
    assert record == told.to_dict()
    assert record["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    assert record["synthetic"] and "synthetic" in told.sentence()
    best = weighed.best
    assert record["chosen"] == {
        "runs": [two[i].id for i in best.runs],
        "epochs": [1] * len(best.runs),
        "flips": best.flips,
        "val_acc": best.val_acc,
    }
    assert len(record["choices"]) == 6
    assert record["images"]["fingerprint"] == draw_demo().fingerprint
    labels = read_predictions(output)
    assert [record["counts"][str(i)] for i in range(10)] == [labels.count(i) for i in range(10)]
    assert labels == weighed.predict(best)


def test_a_plain_export_over_it_takes_its_record_along_but_no_other_file(
    weighed: Ensemble, two: list[Run], tmp_path: Path
) -> None:
    output, record = tmp_path / "p.csv", tmp_path / "p.json"
    export_choice(weighed, output)
    export_predictions(two[0], output, overwrite=True)
    assert not record.exists()
    record.write_text('{"sha256": "mine"}')
    export_predictions(two[0], output, overwrite=True)
    assert record.read_text() == '{"sha256": "mine"}'


def test_neither_file_is_replaced_unasked(two: list[Run], tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("precious")
    with pytest.raises(UserError, match=r"p\.json exists; use --overwrite"):
        export_best(two, tmp_path / "p.csv")
    assert not (tmp_path / "p.csv").exists()
    assert (tmp_path / "p.json").read_text() == "precious"


def test_leaving_writes_nothing(two: list[Run], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_best(two, tmp_path / "p.csv", tick=stop)
    assert list(tmp_path.iterdir()) == []


def meta_changed(run: Run, folder: Path, change: Callable[[dict[str, object]], object]) -> Run:
    path = folder / f"{run.id}-changed"
    shutil.copytree(run.path, path)
    meta = json.loads((path / "meta.json").read_text())
    change(meta["dataset"])
    (path / "meta.json").write_text(json.dumps(meta))
    return read_run(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(fingerprint="0" * 16), "different images"),
        (lambda d: d["classes"].reverse(), "other classes"),
        (lambda d: d.pop("fingerprint"), "does not say which images"),
    ],
)
def test_only_runs_of_the_same_images_are_combined_or_compared(
    two: list[Run], tmp_path: Path, change: Callable[[dict[str, object]], object], words: str
) -> None:
    other = meta_changed(two[1], tmp_path, change)
    with pytest.raises(UserError, match=words):
        Ensemble([two[0], other])
    with pytest.raises(UserError, match=words):
        agreement(two[0], other, "val")


def test_images_that_changed_since_the_training_are_said(two: list[Run], tmp_path: Path) -> None:
    others = [meta_changed(run, tmp_path, lambda d: d.update(fingerprint="0" * 16)) for run in two]
    with pytest.raises(UserError, match="was trained on the demo set"):
        Ensemble(others)
    ensemble = Ensemble(others, "demo")
    ensemble.choices = [Candidate((0,), False, 0.5)]
    told = export_choice(ensemble, tmp_path / "p.csv")
    assert "These are not the images that it was trained on" in told.sentence()
    assert told.to_dict()["images"]["trained_on"] == "0" * 16


def test_two_runs_agree_where_their_labels_are_equal(two: list[Run], outputs: Outputs) -> None:
    found = agreement(two[0], two[1], "val")
    a, b = (outputs[i, "val", False].argmax(1) for i in (0, 1))
    truth = torch.from_numpy(draw_demo().val.labels)
    assert found.equal == pytest.approx(int((a == b).sum()), abs=1)
    assert found.right is not None
    assert found.right.only_a == pytest.approx(int(((a == truth) & (b != truth)).sum()), abs=1)
    assert found.right.both + found.right.only_a == pytest.approx(int((a == truth).sum()), abs=1)
    assert found.synthetic and "(synthetic)" in "\n".join(found.lines())


def test_the_commands_choose_and_compare(
    cifar: Command, two: list[Run], tmp_path: Path, weighed: Ensemble
) -> None:
    runs = ("--runs", two[0].path.parent)
    done = cifar("export", two[0].id, two[1].id, *runs, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["chosen"]["val_acc"] == pytest.approx(weighed.best.val_acc, abs=0.0011)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("predictions-demo.csv", "predictions-demo.json")
    ]
    same = cifar("runs", "agree", "predictions-demo.csv", "./predictions-demo.csv", *runs, "--json")
    found = json.loads(same.stdout)
    assert (found["share"], found["split"], found["right"]) == (1.0, "test", None)


def test_what_cannot_be_compared_is_one_sentence(
    two: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "p.csv"
    file.write_text("Id,Label\n0,3\n")
    runs = ["--runs", str(two[0].path.parent)]
    for arguments, words in (
        ((str(file), str(file), "--split", "val"), "Of two files only --split test"),
        ((str(file), two[0].id), "not predictions of the same images"),
        ((str(tmp_path / "gone.csv"), two[0].id), "Cannot read"),
    ):
        assert cli.run(["runs", "agree", *arguments, *runs]) == 2
        captured = capsys.readouterr()
        assert words in captured.err and captured.err.count("\n") == 1
