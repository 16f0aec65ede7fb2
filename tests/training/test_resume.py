"""A run that goes on: from which epoch, on which images, with which settings, or not at all."""

from pathlib import Path

from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_epochs, read_run
from cifar_tui.runs.record import Summary
from cifar_tui.spec import RunSpec
from cifar_tui.training.perform import perform


def train_some(folder: RunFolder) -> Summary:
    """Train the run for at least one epoch more and stop it."""
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"status": "queued"}))
    known = summary.epochs_done
    return perform(folder, lambda: "enough" * (read_run(folder.path).summary.epochs_done > known))


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
    assert summary.last.val_acc == read_epochs(folder.path)[-1]["val_acc"]
    assert len(read_epochs(folder.path)) == early
