"""The images and weights that a trained run is looked at with are its own, or it is said."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifar_tui import cli
from cifar_tui.errors import UserError
from cifar_tui.features.inspect.compute import evaluation_of
from cifar_tui.features.inspect.core import kept_evaluation
from cifar_tui.features.predict.compute import agreement, export_best, export_predictions
from cifar_tui.features.surface.compute import surface_of
from cifar_tui.features.surface.core import Slice, kept_surface
from cifar_tui.queue.train_run import perform
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_meta, read_run
from cifar_tui.spec.settings import RunSpec

SLICE = Slice(size=3, images=20)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_course: Path) -> Path:
    """A folder with images and one with two runs of an epoch on them."""
    place = tmp_path_factory.mktemp("trained")
    shutil.copytree(tiny_course, place / "course")
    for seed in (0, 1):
        spec = RunSpec(data=str(place / "course"), epochs=1, batch_size=64, seed=seed)
        assert perform(RunFolder.create(place / "runs", spec)).status == "finished"
    return place


@pytest.fixture
def course(trained: Path, tmp_path: Path) -> Path:
    """A copy of the images, with which the runs in `found` were trained."""
    return shutil.copytree(trained / "course", tmp_path / "course")


@pytest.fixture
def found(trained: Path, tmp_path: Path, course: Path) -> list[Run]:
    shutil.copytree(trained / "runs", tmp_path / "runs")
    paths = sorted((tmp_path / "runs").iterdir())
    for path in paths:
        spec = path / "spec.toml"
        spec.write_text(spec.read_text().replace(str(trained), str(tmp_path)))
    return [read_run(path) for path in paths]


def other_labels(course: Path) -> None:
    labels = np.load(course / "val-labels-batch.npy")
    np.save(course / "val-labels-batch.npy", (labels + 1) % 10)


Use = Callable[[list[Run], Path, str | None], object]
USES: dict[str, Use] = {
    "inspect": lambda runs, out, data: evaluation_of(runs[0], data=data),
    "surface": lambda runs, out, data: surface_of(runs[0], SLICE, data=data),
    "runs agree": lambda runs, out, data: agreement(runs[0], runs[1], "val", data=data),
    "export": lambda runs, out, data: export_predictions(runs[0], out / "p.csv", data=data),
    "ensemble": lambda runs, out, data: export_best(runs, out / "e.csv", data=data),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_images_that_changed_are_used_only_where_they_are_named(
    use: Use, found: list[Run], course: Path, tmp_path: Path
) -> None:
    other_labels(course)
    with pytest.raises(UserError, match=r"was trained on course images .* now has course images"):
        use(found, tmp_path, None)
    use(found, tmp_path, str(course))


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_another_runs_weights_are_not_taken_for_its_own(
    use: Use, found: list[Run], tmp_path: Path
) -> None:
    shutil.copy(found[1].path / "best.pt", found[0].path / "best.pt")
    with pytest.raises(UserError, match=f"belongs to another run, {found[1].id}"):
        use(found, tmp_path, None)


@pytest.mark.parametrize(
    "command",
    [
        ("inspect", "{0}"),
        ("surface", "{0}", "--size", "3", "--images", "20"),
        ("runs", "agree", "{0}", "{1}"),
        ("export", "{0}", "--output", "{out}/p.csv"),
        ("export", "{0}", "{1}", "--output", "{out}/e.csv"),
    ],
    ids=" ".join,
)
def test_figures_on_other_images_say_so(
    command: tuple[str, ...],
    found: list[Run],
    course: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = read_meta(found[0].path)["dataset"]["fingerprint"]
    said = f"These are not the images that it was trained on, course images {known}."
    words = [word.format(found[0].id, found[1].id, out=tmp_path) for word in command]
    words += ["--runs", str(tmp_path / "runs"), "--data", str(course)]
    assert cli.run(words) == 0
    assert said not in capsys.readouterr().out.replace("\n", " ")
    other_labels(course)
    more = ["--overwrite"] if command[0] == "export" else []
    assert cli.run([*words, *more]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert cli.run([*words, *more, "--json"]) == 0
    assert said in json.dumps(json.loads(capsys.readouterr().out))


def test_what_is_kept_of_other_images_is_not_shown_as_the_runs_own(
    found: list[Run], course: Path, tmp_path: Path
) -> None:
    run = found[0]
    other = shutil.copytree(course, tmp_path / "other")
    other_labels(other)
    evaluation, surface = evaluation_of(run), surface_of(run, SLICE)
    for data in (str(other), None):
        again = (evaluation_of(run, data=data), surface_of(run, SLICE, data=data))
        assert (again[0].accuracy == evaluation.accuracy) == (data is None)
        assert (again[1].centre == surface.centre) == (data is None)
        shown = (kept_evaluation(run, "val"), kept_surface(run, SLICE))
        assert (shown == (None, None)) == (data is not None)


def test_test_images_that_come_later_are_predicted(
    found: list[Run], course: Path, tmp_path: Path
) -> None:
    run = found[0]
    test = (course / "test-images-batch.npy").rename(tmp_path / "later.npy")
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data=str(course), epochs=1))
    perform(folder)
    test.rename(course / "test-images-batch.npy")
    exported = export_predictions(read_run(folder.path), tmp_path / "p.csv")
    assert (exported.rows, exported.remark) == (100, "")
    assert evaluation_of(run).data == read_meta(run.path)["dataset"]["fingerprint"]
