"""How an experiment stands: each setting's runs and figures, and the verdict they give."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from cifar_tui.features.labs.experiments import Arm, Lab, Scale
from cifar_tui.features.labs.images import ImageSet
from cifar_tui.features.labs.trends import Figures, Finding
from cifar_tui.runs.control import is_in_training, only_best
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import Point
from cifar_tui.spec.checks import identity
from cifar_tui.spec.settings import RunSpec

FROM_ELSEWHERE = "imported"
"""Tag of runs whose training nobody here has seen."""
RANK = ("finished", "diverged", "running", "paused", "queued", "stopped", "crashed", "stale")
"""Of two runs with one setting and seed, the one further in front stands for both."""


@dataclass(frozen=True)
class ArmResult:
    """One setting of an experiment: its runs by what they are good for, and its figures."""

    arm: Arm
    results: tuple[Run, ...]
    arriving: tuple[Run, ...]
    """Queued or in training."""
    unfinished: tuple[Run, ...]
    """To be resumed."""
    missing: tuple[RunSpec, ...]
    """To be trained anew."""
    values: tuple[float, ...]
    """One figure per result that has one."""

    @property
    def mean(self) -> float | None:
        return fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; None with fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def train_acc(self) -> float | None:
        """The mean over seeds of train_acc at the best epoch, as measured while training."""
        return _mean_of(self.results, lambda best: best.train_acc)

    @property
    def gap(self) -> float | None:
        """How far train_acc lies above val_acc there: what the net knows only of seen images."""
        return _mean_of(
            self.results,
            lambda best: (
                None
                if best.train_acc is None or best.val_acc is None
                else best.train_acc - best.val_acc
            ),
        )

    def figure(self, show: Callable[[float | None], str]) -> str:
        """`0.7224 ± 0.0031`: mean and, with several seeds, standard deviation."""
        return show(self.mean) + ("" if self.sd is None else f" ± {show(self.sd)}")

    @property
    def runs(self) -> tuple[Run, ...]:
        return (*self.results, *self.arriving, *self.unfinished)

    @property
    def initial_loss(self) -> float | None:
        known = [r.summary.initial_loss for r in self.runs if r.summary.initial_loss is not None]
        return fmean(known) if known else None

    @property
    def devices(self) -> str:
        return ", ".join(sorted({r.summary.device for r in self.runs if r.summary.device}))


def _mean_of(runs: Sequence[Run], figure: Callable[[Point], float | None]) -> float | None:
    found = [figure(run.summary.best) for run in runs if run.summary.best]
    known = [value for value in found if value is not None]
    return fmean(known) if known else None


@dataclass(frozen=True)
class LabAnswer:
    """An experiment at one scale on one kind of images, as its runs answer it now."""

    lab: Lab
    scale: Scale
    images: ImageSet
    rows: tuple[ArmResult, ...]

    @functools.cached_property
    def finding(self) -> Finding | None:
        """What the trend says of the figures so far; None while nothing can be compared."""
        measure = self.lab.measure
        values = {row.arm.label: row.values for row in self.rows if row.values}
        return self.lab.trend(Figures(values, self.lab.seed_sds, measure.show))

    @property
    def wanted(self) -> int:
        """How many runs the experiment has at this scale."""
        return len(self.rows) * self.scale.seeds

    @property
    def done(self) -> int:
        return sum(min(len(row.results), self.scale.seeds) for row in self.rows)

    @property
    def state(self) -> str:
        """`not started`, `3 of 6`, `running 2 of 6` or `done`."""
        if any(row.arriving for row in self.rows):
            return f"running {self.done} of {self.wanted}"
        if self.done == self.wanted:
            return "done"
        started = self.done or any(row.unfinished for row in self.rows)
        return f"{self.done} of {self.wanted}" if started else "not started"

    @property
    def scaled(self) -> str:
        """How this differs from the full setting; empty when it does not."""
        parts = []
        full = max(arm.epochs for arm in self.lab.arms)
        if self.scale.epochs not in (None, full):
            parts.append(f"{self.scale.epochs} of {full} epochs")
        if self.scale.subset:
            parts.append(f"the first {self.scale.subset:,} training images")
        return ", ".join(parts)

    @property
    def word(self) -> str:
        """The answer in a word, with a question mark while it is not settled."""
        if self.finding is None:
            return "-"
        return f"{'yes' if self.finding.holds else 'no'}{'' if self.finding.settled else '?'}"

    @property
    def verdict(self) -> str:
        """The answer in a sentence: how sure it is, on what figures, and beside the report's."""
        found = self.finding
        if found is None:
            some = sum(bool(row.values) for row in self.rows)
            return f"Open: {some} of {len(self.rows)} settings have a figure."
        start = f"{'Yes' if found.holds else 'No'}, {'' if self._is_usual else 'not '}as expected"
        parts = [f"{start if found.settled else found.unclear}: {found.why}{self._seeds}."]
        if not self._seeds:
            parts.append(f"One seed each: {self._assumed}.")
        if self.scaled:
            parts.append(f"Scaled: {self.scaled}.")
        if self.images.synthetic:
            parts.append("Synthetic images.")
        return " ".join(parts)

    @property
    def _is_usual(self) -> bool:
        return self.finding is not None and self.finding.holds == self.lab.expected

    @property
    def _seeds(self) -> str:
        """`, 3 seeds`, or `, 1 to 3 seeds` where settings have more or less; nothing for one."""
        counts = sorted({len(row.values) for row in self.rows if row.values})
        words = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        return f", {words} seeds" if counts[-1] > 1 else ""

    @property
    def _assumed(self) -> str:
        """What runs with other seeds are taken to vary by, where there are none."""
        usual, show = self.lab.measure.seed_sd, self.lab.measure.show
        if usual is None:
            return "how far seeds vary is not known for this measure, so it takes more to settle it"
        words = "a point" if usual == 0.01 else show(usual)
        far = [(arm.label, arm.seed_sd) for arm in self.lab.arms if arm.seed_sd is not None]
        more = "".join(f", {label} by {show(sd)}" for label, sd in far)
        return f"seeds are taken to vary by about {words}{more}"

    @property
    def best(self) -> Run | None:
        """The run with the highest val_acc."""
        runs = [run for row in self.rows for run in row.results]
        return max(runs, key=lambda run: run.best_val_acc, default=None)

    @property
    def ours(self) -> float | None:
        """The best setting's mean."""
        means = [row.mean for row in self.rows if row.mean is not None]
        return self.lab.measure.best(means) if means else None

    @property
    def reported(self) -> float | None:
        """The report's figure for its best setting."""
        figures = [arm.report for arm in self.lab.arms if arm.report is not None]
        return self.lab.measure.best(figures) if figures else None

    @property
    def bar_reached(self) -> bool | None:
        """Whether the best run reaches the assignment's bar; None without either."""
        if self.lab.bar is None or self.best is None:
            return None
        return self.best.best_val_acc >= self.lab.bar

    @property
    def notes(self) -> list[str]:
        """What a reader must know beside the figures."""
        return [note for note in (self.images.note, self.lab.note) if note]

    def to_resume(self) -> list[Run]:
        return [run for row in self.rows for run in row.unfinished]

    def to_train(self) -> list[RunSpec]:
        return [spec for row in self.rows for spec in row.missing]

    def to_dict(self) -> dict[str, Any]:
        """For programs; figures are the measure's, null where there is none."""
        found, best = self.finding, self.best
        return {
            "name": self.lab.name,
            "question": self.lab.question,
            "look_at": self.lab.look_at,
            "measure": self.lab.measure.name,
            "state": self.state,
            "verdict": self.verdict,
            "answer": None if found is None else found.holds,
            "settled": found is not None and found.settled,
            "expected": self.lab.expected,
            "ours": {row.arm.label: row.mean for row in self.rows},
            "report": {arm.label: arm.report for arm in self.lab.arms},
            "others": {arm.label: _others(arm) for arm in self.lab.arms},
            "bar": self.lab.bar,
            "bar_reached": self.bar_reached,
            "best_val_acc": None if best is None else best.best_val_acc,
            "scaled": self.scaled,
            "images": {
                "source": self.images.source,
                "fingerprint": self.images.fingerprint,
                "synthetic": self.images.synthetic,
            },
            "notes": self.notes,
            "settings": [_row_dict(row) for row in self.rows],
            "runs": [run.id for row in self.rows for run in row.runs],
        }


def _others(arm: Arm) -> dict[str, Any] | None:
    return None if arm.others is None else asdict(arm.others)


def _row_dict(row: ArmResult) -> dict[str, Any]:
    return {
        "setting": row.arm.label,
        "mean": row.mean,
        "sd": row.sd,
        "train_acc": row.train_acc,
        "gap": row.gap,
        "n": len(row.values),
        "values": list(row.values),
        "report": row.arm.report,
        "others": _others(row.arm),
        "initial_loss": row.initial_loss,
        "device": row.devices,
        "runs": [
            {"id": run.id, "seed": run.spec.seed if run.spec else None, "status": run.status}
            | {"best_val_acc": run.best_val_acc if run.best_val_acc >= 0 else None}
            for run in row.runs
        ],
        "missing": len(row.missing) + len(row.unfinished),
    }


class Book:
    """The runs of one folder on one kind of images, found by their settings."""

    def __init__(self, runs: Sequence[Run], images: ImageSet) -> None:
        self.images = images
        self._runs: dict[tuple[Any, ...], dict[int, Run]] = {}
        for run in runs:
            if run.spec is not None and _rank(run) < len(RANK) and images.are_of(run):
                by_seed = self._runs.setdefault(identity(run.spec), {})
                rival = by_seed.get(run.spec.seed)
                if rival is None or _rank(run) <= _rank(rival):
                    by_seed[run.spec.seed] = run

    def answer(self, lab: Lab, scale: Scale, **where: Any) -> LabAnswer:
        """How the experiment stands; `where` names images and device of runs still to be made."""
        rows = tuple(self._row(lab, arm, scale, where) for arm in lab.arms)
        return LabAnswer(lab, scale, self.images, rows)

    def _row(self, lab: Lab, arm: Arm, scale: Scale, where: dict[str, Any]) -> ArmResult:
        found = self._runs.get(identity(arm.spec(lab.name, scale)), {})
        runs = [run for _, run in sorted(found.items())]
        results = [run for run in runs if run.status in ("finished", "diverged")]
        arriving = [r for r in runs if is_in_training(r) or _waits(r)]
        unfinished = [run for run in runs if run not in results and run not in arriving]
        lacking = max(0, scale.seeds - len(results) - len(arriving))
        unfinished = unfinished[:lacking]
        free = [s for s in range(len(found) + scale.seeds) if s not in found]
        missing = free[: lacking - len(unfinished)]
        values = [value for run in results if (value := lab.measure.of(run)) is not None]
        return ArmResult(
            arm,
            tuple(results),
            tuple(arriving),
            tuple(unfinished),
            tuple(arm.spec(lab.name, scale, seed, **where) for seed in missing),
            tuple(values),
        )


def _waits(run: Run) -> bool:
    return run.status == "queued" and not run.left_behind


def _rank(run: Run) -> int:
    """Place in RANK; beyond it for runs that count for nothing."""
    assert run.spec is not None
    whole = run.summary.epochs_done >= run.spec.epochs
    if run.edited or FROM_ELSEWHERE in run.spec.tags or (run.status == "finished" and not whole):
        return len(RANK)
    if run.status in ("stopped", "crashed", "stale") and only_best(run):
        return len(RANK)
    return RANK.index(run.status) if run.status in RANK else len(RANK)
