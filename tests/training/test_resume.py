"""A run that goes on: from which epoch, on which images, with which settings, or not at all."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cifar_tui.errors import UserError
from cifar_tui.features.inspect.compute import evaluation_of
from cifar_tui.queue.train_run import perform
from cifar_tui.runs.control import requeue
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_meta, read_run
from cifar_tui.runs.record import Summary
from cifar_tui.spec.settings import RunSpec

LONG = 100_000
BELONGS = ("best.pt", "last.pt", "meta.json")


@pytest.fixture(autouse=True)
def obeys_at_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However quick the epochs are, a stop is heard in the one it falls in."""
    monkeypatch.setattr("cifar_tui.queue.run_writer.BEAT", 0.0)


def train_some(folder: RunFolder) -> Summary:
    """Train the run for at least one epoch more and stop it."""
    queue(folder)
    known = read_run(folder.path).summary.epochs_done
    return perform(folder, lambda: "enough" * (read_run(folder.path).summary.epochs_done > known))


def queue(folder: RunFolder) -> None:
    """Have the run wait, however it ended, as if nothing had been found out when it was asked."""
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"status": "queued", "reason": ""}))


def require_refused(folder: RunFolder, *said: str, status: str = "stopped") -> None:
    """Ask for more training and see the run left as it is, with a reason that says all this."""
    belongings = {name: (folder.path / name).read_bytes() for name in BELONGS}
    before, epochs = read_run(folder.path).summary, read_epochs(folder.path)
    queue(folder)
    after = perform(folder)
    assert after.status == status
    for words in said:
        assert words in after.reason
    figures = ("best", "last", "epochs_done", "source", "spec")
    assert all(getattr(after, name) == getattr(before, name) for name in figures)
    assert read_epochs(folder.path) == epochs
    assert {name: (folder.path / name).read_bytes() for name in BELONGS} == belongings


@pytest.fixture
def course(tmp_path: Path, tiny_course: Path) -> Path:
    """A folder with images of its own to change."""
    return shutil.copytree(tiny_course, tmp_path / "course")


@pytest.fixture
def begun(tmp_path: Path, course: Path) -> RunFolder:
    """A run that was stopped after an epoch or a few."""
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data=str(course), epochs=LONG, name="a"))
    assert train_some(folder).status == "stopped"
    return folder


def edit(folder: RunFolder, old: str, new: str) -> None:
    path = folder.path / "spec.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def other_labels(course: Path) -> None:
    labels = np.load(course / "train-labels-batch.npy")
    np.save(course / "train-labels-batch.npy", (labels + 1) % 10)


def test_images_that_changed_in_place_are_not_trained_on(begun: RunFolder, course: Path) -> None:
    other_labels(course)
    known = read_meta(begun.path)["dataset"]["fingerprint"]
    require_refused(begun, f"a was trained on course images {known}, and {course} now holds course")


def test_a_checkpoint_tells_the_images_even_where_the_run_does_not(
    begun: RunFolder, course: Path
) -> None:
    (begun.path / "meta.json").write_text("{}")
    other_labels(course)
    require_refused(begun, "now holds course images")


def test_test_images_that_come_later_do_not_keep_a_run_from_going_on(
    tmp_path: Path, course: Path
) -> None:
    test = (course / "test-images-batch.npy").rename(tmp_path / "later.npy")
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data=str(course), epochs=LONG))
    done = train_some(folder).epochs_done
    test.rename(course / "test-images-batch.npy")
    assert train_some(folder).epochs_done > done


def test_demo_epochs_never_become_part_of_a_real_run(
    tmp_path: Path, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without images in the usual folder it is a demo run, and stays one when they arrive."""
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create(Path("runs"), RunSpec(epochs=LONG, subset=500))
    done = train_some(folder)
    assert done.source == "demo"
    course.rename("data")
    after = train_some(folder)
    assert (after.source, after.epochs_done > done.epochs_done) == ("demo", True)
    edit(folder, 'data = "demo"', 'data = "data"')
    require_refused(folder, "was trained on the demo set (synthetic), and data now holds course")
    with pytest.raises(UserError, match=r"trained on the demo set .* --data"):
        requeue(read_run(folder.path))


def test_a_run_goes_on_with_its_own_images_from_every_folder(
    tmp_path: Path, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data="course", epochs=LONG))
    assert folder.spec().data == str(course)
    done = train_some(folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    after = train_some(folder)
    assert (after.source, after.epochs_done > done.epochs_done) == ("course", True)


def test_a_relative_folder_of_an_older_version_is_where_it_was(
    begun: RunFolder, course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 0.1 wrote the folder as it was typed, no hash of it, and nothing into checkpoints."""
    edit(begun, str(course), "data")
    summary = json.loads((begun.path / "summary.json").read_text())
    del summary["spec_sha256"]
    summary["spec"]["data"] = "data"
    (begun.path / "summary.json").write_text(json.dumps(summary))
    meta = read_meta(begun.path)
    del meta["run"]
    begun.write_meta(meta)
    for path in (begun.best, begun.last):
        content = torch.load(path, weights_only=True)
        del content["run"], content["fingerprint"]
        content["spec"]["data"] = "data"
        torch.save(content, path)
    monkeypatch.chdir(tmp_path)
    done = read_run(begun.path).summary.epochs_done
    after = train_some(begun)
    assert (after.source, after.epochs_done > done) == ("course", True)
    assert torch.load(begun.last, weights_only=True)["run"] == begun.id


def test_a_run_that_was_brought_to_another_machine_takes_the_same_images_there(
    begun: RunFolder, course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    course.rename("data")
    done = read_run(begun.path).summary.epochs_done
    assert train_some(begun).epochs_done > done
    assert (
        evaluation_of(read_run(begun.path)).data == read_meta(begun.path)["dataset"]["fingerprint"]
    )
    other_labels(Path("data"))
    require_refused(begun, "and data now holds course images")


def test_without_its_images_a_run_stays_as_it_is(begun: RunFolder, course: Path) -> None:
    moved = course.rename(course.with_name("moved"))
    require_refused(begun, f"There is no folder {course}", "spec.toml says where they lie")
    with pytest.raises(UserError, match="cannot be resumed without its images"):
        requeue(read_run(begun.path))
    edit(begun, str(course), str(moved))
    done = read_run(begun.path).summary.epochs_done
    assert train_some(begun).epochs_done > done


def test_another_runs_checkpoint_is_refused(begun: RunFolder, course: Path) -> None:
    other = RunFolder.create(begun.path.parent, RunSpec(data=str(course), epochs=LONG, name="b"))
    train_some(other)
    shutil.copy(begun.last, other.last)
    require_refused(other, f"{other.last} belongs to another run, {begun.id}", "b's own last.pt")
    other.last.write_bytes(b"damaged")
    shutil.copy(begun.best, other.best)
    require_refused(other, f"{other.best} belongs to another run, {begun.id}")


def test_a_run_that_was_brought_in_under_another_id_goes_on(
    begun: RunFolder, tmp_path: Path
) -> None:
    renamed = RunFolder(begun.path.rename(begun.path.with_name(f"{begun.id}-2")))
    done = read_run(renamed.path).summary.epochs_done
    assert train_some(renamed).epochs_done > done
    assert train_some(renamed).epochs_done > done + 1
    assert torch.load(renamed.last, weights_only=True)["run"] == begun.id


def test_settings_edited_after_training_are_refused_with_both_values(begun: RunFolder) -> None:
    edit(begun, "lr = 0.01", "lr = 0.2")
    require_refused(begun, "a was trained with lr 0.01, and spec.toml says lr 0.2", "train --spec")
    summary = read_run(begun.path).summary.model_copy(update={"status": "crashed"})
    begun.write_summary(summary)
    events = begun.path / "events.jsonl"
    lines = events.read_text().splitlines()
    events.write_text("\n".join(line for line in lines if '"end"' not in line) + "\n")
    require_refused(begun, "spec.toml says lr 0.2", status="crashed")
    edit(begun, "lr = 0.2", "lr = 0.01")
    edit(begun, 'name = "a"', 'name = "z"')
    edit(begun, "val_batch_size = 100", "val_batch_size = 50")
    done = read_run(begun.path).summary.epochs_done
    assert train_some(begun).epochs_done > done
    assert read_run(begun.path).name == "z"


def test_a_run_without_a_trained_epoch_takes_its_edited_settings(
    tmp_path: Path, course: Path
) -> None:
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data=str(course), epochs=2))
    assert perform(folder, lambda: "enough" * folder.last.exists()).status == "stopped"
    assert not folder.best.exists()
    edit(folder, "batch_size = 128", "batch_size = 32")
    edit(folder, "epochs = 2", "epochs = 1")
    queue(folder)
    assert perform(folder).status == "finished"
    run = read_run(folder.path)
    assert (run.summary.epochs_done, run.summary.spec["batch_size"]) == (1, 32)


def test_a_run_that_gave_up_last_pt_is_not_begun_again(begun: RunFolder) -> None:
    last = begun.last.read_bytes()
    begun.last.unlink()
    best = begun.best.read_bytes()
    queue(begun)
    after = perform(begun)
    assert (after.status, begun.best.read_bytes()) == ("stopped", best)
    assert "kept only best.pt" in after.reason
    begun.last.write_bytes(last)


def test_figures_of_an_attempt_that_was_given_up_are_shown_nowhere(
    tmp_path: Path, tiny_course: Path
) -> None:
    folder = RunFolder.create(tmp_path, RunSpec(data=str(tiny_course), epochs=100_000))
    early = train_some(folder).epochs_done
    checkpoint = folder.last.read_bytes()
    assert train_some(folder).epochs_done > early
    folder.last.write_bytes(b"damaged")
    folder.best.write_bytes(checkpoint)
    queued = read_run(folder.path).summary.model_copy(update={"status": "queued"})
    folder.write_summary(queued)
    summary = perform(folder, lambda: "stopped")
    assert (summary.status, summary.epochs_done) == ("stopped", early)
    assert summary.last is not None
    assert summary.last.epoch == early
    assert summary.last.val_acc == read_epochs(folder.path)[-1].val_acc
    assert len(read_epochs(folder.path)) == early
