"""predictions.csv is what a plain torch program would predict with best.pt."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

from cifar_tui import cli
from cifar_tui.data.demo import draw_demo
from cifar_tui.errors import UserError
from cifar_tui.features.predict import compute as export
from cifar_tui.features.predict.compute import export_predictions
from cifar_tui.features.predict.core import read_predictions
from cifar_tui.models.build import build_model
from cifar_tui.queue.train_run import perform
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs, read_run
from cifar_tui.spec.settings import RunSpec
from tests.conftest import Command
from tests.training import demo_runs


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Runs(demo_runs(tmp_path_factory)).find("last")


@pytest.fixture(scope="session")
def course_run(tmp_path_factory: pytest.TempPathFactory, tiny_course: Path) -> Run:
    """A run on images in the course's layout: without labels for test, without class names."""
    spec = RunSpec(data=str(tiny_course), epochs=1, device="cpu")
    folder = RunFolder.create(tmp_path_factory.mktemp("course-runs"), spec)
    perform(folder)
    return read_run(folder.path)


def plain_predictions(path: Path) -> list[int]:
    """The demo set's test labels by best.pt, with nothing of this program but the network."""
    state = torch.load(path / "best.pt", weights_only=True)["state_dict"]
    model = build_model(RunSpec())
    model.load_state_dict(state)
    model.eval()
    images = torch.from_numpy(draw_demo().test.images).permute(0, 3, 1, 2) / 255
    mean = torch.tensor([0.4914, 0.4822, 0.4465])[:, None, None]
    std = torch.tensor([0.2023, 0.1994, 0.2010])[:, None, None]
    with torch.no_grad():
        return model((images - mean) / std).argmax(1).tolist()


def test_the_file_holds_what_plain_torch_predicts(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "predictions.csv"
    result = export_predictions(run, output)
    expected = plain_predictions(run.path)
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(expected))
    assert output.read_bytes() == f"Id,Label\n{rows}".encode()
    assert read_predictions(output) == expected
    assert len(set(expected)) > 2
    assert result.counts == {str(i): Counter(expected)[i] for i in range(10)}
    best = run.summary.best
    assert best is not None
    assert (result.rows, result.epoch, result.val_acc) == (1000, 1, best.val_acc)


def test_demo_predictions_say_so_in_name_and_words(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = export_predictions(run)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions-demo.csv"]
    assert result.synthetic
    assert "synthetic" in result.sentence()
    assert f"2 square    {result.counts['2']:>6,}" in result.sentence()


def test_labels_of_the_course_are_integers_without_names(course_run: Run, tmp_path: Path) -> None:
    result = export_predictions(course_run, tmp_path / "p.csv")
    assert (result.rows, result.classes, result.synthetic) == (100, (), False)
    assert "synthetic" not in result.sentence()
    first = f"0  {result.counts['0']:>6,}     5  {result.counts['5']:>6,}"
    assert first in result.sentence().splitlines()


def test_the_tilde_is_the_home_folder(
    course_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    export_predictions(course_run, Path("~/p.csv"))
    assert len(read_predictions(tmp_path / "p.csv")) == 100


def test_ticks_count_to_the_end_and_can_stop_it(
    course_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BATCH", 40)
    seen: list[tuple[int, int]] = []
    export_predictions(course_run, tmp_path / "p.csv", tick=lambda *counts: seen.append(counts))
    assert seen == [(40, 100), (80, 100), (100, 100)]

    def stop(done: int, images: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_predictions(course_run, tmp_path / "stopped.csv", tick=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_a_run_in_training_is_not_disturbed(course_run: Run, tmp_path: Path) -> None:
    def state() -> tuple[bool, ...]:
        cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        return (cuda.allow_tf32, cudnn.allow_tf32, cudnn.deterministic)

    flags, chance = state(), torch.get_rng_state()
    export_predictions(course_run, tmp_path / "p.csv")
    assert state() == flags
    assert torch.equal(torch.get_rng_state(), chance)


def test_the_command_writes_refuses_and_replaces(
    cifar: Command, course_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = str(course_run.path.parent)
    wanted = ["export", "last", "--runs", runs, "--output", "mine.csv", "--json"]
    first = cifar(*wanted)
    assert (first.returncode, first.stderr) == (0, "")
    said = json.loads(first.stdout)
    labels = read_predictions(tmp_path / "mine.csv")
    assert (said["run"], said["output"], said["rows"]) == (course_run.id, "mine.csv", 100)
    assert [said["counts"][str(i)] for i in range(10)] == [labels.count(i) for i in range(10)]

    (tmp_path / "mine.csv").write_text("precious")
    again = cifar(*wanted)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == (
        "cifar-tui: mine.csv exists; use --overwrite to replace it, or another --output.\n"
    )
    assert (tmp_path / "mine.csv").read_text() == "precious"

    monkeypatch.chdir(tmp_path)
    assert cli.run([*wanted, "--overwrite"]) == 0
    assert read_predictions(tmp_path / "mine.csv") == labels


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (".", ". is a folder; name a file, like predictions.csv."),
        ("no/where.csv", "There is no folder no; make it, or name a file elsewhere."),
        ("file/p.csv", "There is no folder file; make it, or name a file elsewhere."),
        ("/dev/null", "/dev/null is no regular file; name another file."),
        ("x" * 300, "File name too long; name another file."),
        ("~nobody-here/p.csv", "There is no home folder for ~nobody-here/p.csv"),
    ],
)
def test_a_path_that_cannot_be_written_is_one_sentence(
    course_run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    runs = str(course_run.path.parent)
    code = cli.run(["export", "last", "--runs", runs, "--output", output, "--overwrite"])
    captured = capsys.readouterr()
    assert (code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert words in captured.err


def test_a_run_without_best_is_refused(tmp_path: Path) -> None:
    queued = read_run(RunFolder.create(tmp_path, RunSpec()).path)
    with pytest.raises(UserError, match=r"no epoch was finished\.$"):
        export_predictions(queued, tmp_path / "p.csv")


def test_images_of_another_kind_are_refused(course_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trained on course images.*--data DIR"):
        export_predictions(course_run, tmp_path / "p.csv", data="demo")


def test_images_that_moved_are_named(course_run: Run, tiny_course: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(tiny_course, moved)
    there = export_predictions(course_run, tmp_path / "a.csv")
    here = export_predictions(course_run, tmp_path / "b.csv", data=str(moved))
    assert here.counts == there.counts
    with pytest.raises(UserError, match=r"There is no folder .*gone.*; .*--data DIR"):
        export_predictions(course_run, tmp_path / "c.csv", data=str(tmp_path / "gone"))


def test_a_missing_test_split_is_said(course_run: Run, tiny_course: Path, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    shutil.copytree(tiny_course, partial)
    (partial / "test-images-batch.npy").unlink()
    with pytest.raises(UserError, match="no test split"):
        export_predictions(course_run, tmp_path / "p.csv", data=str(partial))


def test_weights_of_another_model_are_refused(course_run: Run, tmp_path: Path) -> None:
    copy = tmp_path / course_run.id
    shutil.copytree(course_run.path, copy)
    content = torch.load(copy / "best.pt", weights_only=True)
    content["state_dict"]["fc3.weight"] = torch.zeros(3, 3)
    torch.save(content, copy / "best.pt")
    with pytest.raises(UserError, match="does not fit the model"):
        export_predictions(read_run(copy), tmp_path / "p.csv")


def test_weights_are_written_as_the_courses_notebook_loads_them(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, runs = tmp_path / "resnet.pth", str(run.path.parent)
    arguments = ["export", run.id, "--weights", str(path), "--runs", runs]
    assert cli.run(arguments) == 0
    net = build_model(RunSpec())
    net.load_state_dict(torch.load(path, weights_only=True))
    assert cli.run(arguments) == 2, "a file in the way is not replaced"
    assert cli.run([*arguments, "--overwrite"]) == 0
    assert cli.run([*arguments, "--flips"]) == 2
    assert "--weights writes those of one run" in capsys.readouterr().err
