"""Makes the runs that experiments still lack: each once, however many of them share it."""

from collections.abc import Sequence
from pathlib import Path

from cifar_tui.features.labs.answer import LabAnswer
from cifar_tui.queue.queue import Pace
from cifar_tui.runs.control import requeue, require_resumable
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run
from cifar_tui.spec.checks import identity
from cifar_tui.spec.settings import RunSpec


def lacking(answers: Sequence[LabAnswer]) -> tuple[list[Run], list[RunSpec]]:
    """The runs to resume and the specs to train anew: one seed of every setting, then the next."""
    resumed = {run.id: run for answer in answers for run in answer.to_resume()}
    trained: dict[tuple[object, int], RunSpec] = {}
    for answer in answers:
        for spec in answer.to_train():
            trained.setdefault((identity(spec), spec.seed), spec)
    return list(resumed.values()), sorted(trained.values(), key=lambda spec: spec.seed)


def queue(answers: Sequence[LabAnswer], runs: Path) -> list[RunFolder]:
    """Queue all that is lacking; raises UserError where a run cannot go on or be made."""
    resumed, specs = lacking(answers)
    for run in resumed:
        require_resumable(run)
    return [
        *(requeue(run) for run in resumed),
        *(RunFolder.create(runs, spec) for spec in specs),
    ]


def seconds_needed(answers: Sequence[LabAnswer], known: Sequence[Run]) -> float | None:
    """About how long all that is lacking takes, by the time of like runs; None without any."""
    resumed, specs = lacking(answers)
    known = [run for run in known if answers[0].images.are_of(run)]
    wanted = [(run.spec, run.summary.epochs_done) for run in resumed if run.spec]
    wanted += [(spec, 0) for spec in specs]
    return Pace(known, by_data=False).seconds_in_all(wanted)
