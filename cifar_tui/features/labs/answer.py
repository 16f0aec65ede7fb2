"""Which images an answer is about: runs on others, above all on synthetic ones, never count."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from cifar_tui.data.find import find
from cifar_tui.errors import UserError
from cifar_tui.features.labs.experiments import Arm, Lab, Scale
from cifar_tui.features.labs.trends import Figures, Finding
from cifar_tui.runs.control import only_best
from cifar_tui.runs.ids import by_time
from cifar_tui.runs.listing import Run, read_meta
from cifar_tui.spec.checks import SETTINGS, identity
from cifar_tui.spec.settings import RunSpec

FINGERPRINT = re.compile(r"[0-9a-f]{1,64}")
NOTES = {
    "785141258484a1be": "CIFAR-10 after one JPEG round trip: accuracies lie about two points below "
    "those on the original pixels (a plain loop gives 0.637 for lab1-baseline), so the first bar "
    "is harder to reach.",
}
"""What is known of images by their fingerprint."""


@dataclass(frozen=True)
class ImageSet:
    """A kind of images (course, official or demo) and their fingerprint, if it is known."""

    source: str
    fingerprint: str = ""

    @property
    def synthetic(self) -> bool:
        return self.source == "demo"

    @property
    def note(self) -> str:
        """What a reader of the figures must know about these images."""
        if self.synthetic:
            return "No figure here says anything about CIFAR-10."
        return NOTES.get(self.fingerprint, "")

    @property
    def kind(self) -> str:
        """`course images`, or the demo set with its warning."""
        return "the demo set (synthetic)" if self.synthetic else f"{self.source} images"

    @property
    def words(self) -> str:
        """`course images 785141258484a1be`."""
        return f"{self.kind} {self.fingerprint}".strip()

    def are_of(self, run: Run) -> bool:
        """Whether the run was, or will be, trained on these."""
        if _source(run) != self.source:
            return False
        dataset = _dataset(run)
        return not (self.fingerprint and dataset) or dataset["fingerprint"] == self.fingerprint


def choose_images(data: str | None, runs: Sequence[Run]) -> ImageSet:
    """The images in the folder `data`, known by the newest run on them; no image is read.

    Without `data`: those of the default folder, else the real ones of the newest run, else the
    demo set.
    """
    found = find(SETTINGS["data"].default if data is None else data)
    source, folder = str(found.source), found.path
    newest_first = sorted(runs, key=lambda run: by_time(run.id), reverse=True)
    if data is None and source == "demo":
        real = (run for run in newest_first if run.summary.source not in ("", "demo"))
        source = next((run.summary.source for run in real), source)
    same = [run for run in newest_first if run.summary.source == source and _dataset(run)]
    if folder is not None:
        place = str(folder.resolve())
        same = [run for run in same if _dataset(run)["folder"] == place] or same
    return ImageSet(source, _dataset(same[0])["fingerprint"] if same else "")


def _source(run: Run) -> str:
    """What kind of images the run has; of one that waits, what its folder holds."""
    if run.summary.source or run.spec is None:
        return run.summary.source
    try:
        return str(find(run.spec.data).source)
    except UserError:
        return ""


def _dataset(run: Run) -> dict[str, Any]:
    """Folder and fingerprint of the run's images, from its meta.json; empty when unknown."""
    path = run.path / "meta.json"
    try:
        return _read_dataset(run.path, path.stat().st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(maxsize=20_000)
def _read_dataset(path: Path, written: int) -> dict[str, Any]:
    dataset = read_meta(path).get("dataset")
    if not isinstance(dataset, dict) or not isinstance(dataset.get("fingerprint"), str):
        return {}
    known = FINGERPRINT.fullmatch(dataset["fingerprint"])
    return {"folder": dataset.get("folder"), "fingerprint": known[0]} if known else {}


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
        answer = "yes" if found.holds else "no"
        start = answer.capitalize() if found.settled else f"Not yet settled, so far {answer}"
        usual = "as" if found.holds == self.lab.expected else "not as"
        parts = [f"{start}, {usual} expected: {found.why}."]
        if all(len(row.values) < 2 for row in self.rows):
            parts.append(f"One seed each: {self._assumed}.")
        if self.scaled:
            parts.append(f"Scaled: {self.scaled}.")
        if self.images.synthetic:
            parts.append("Synthetic images.")
        return " ".join(parts)

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
        arriving = [r for r in runs if r.status in ("running", "paused") or _waits(r)]
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
