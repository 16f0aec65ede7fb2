"""Comparison of runs: the settings that differ, repetitions, and figures beside a baseline's."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from cifar_tui.query.curves import Axis, Band, Log, Sample, Spread, samples
from cifar_tui.query.fields import FIELDS, Line, in_force
from cifar_tui.query.telling import enough, words
from cifar_tui.runs.events import read_epochs, to_json
from cifar_tui.runs.listing import Run
from cifar_tui.spec.checks import identity, with_role
from cifar_tui.text import plain

Window = tuple[float, float]


WITHOUT_EFFECT = with_role("where", "label", "repeat")
"""Settings in which repetitions may differ."""
COMPARED = (
    *("val_acc", "val_loss", "train_acc", "train_loss"),
    *("last_val_acc", "last_val_loss", "last_train_acc", "last_train_loss"),
    *("best_epoch", "epochs_done", "time", "epoch_time"),
)
"""The fields of a run that are set beside a baseline's."""
GAP = 4
"""Cells before a label in a legend, with the curve's mark."""


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Settings in force that are not the same in all runs: name -> one value per run, or None."""
    found = {}
    for name in with_role("result", "where", "repeat"):
        row = [in_force(run, name) for run in runs]
        if any(value != row[0] for value in row):
            found[name] = row
    return found


def labels(runs: Sequence[Run], aside: Collection[str] = (), room: int = 0) -> list[str]:
    """A label per run that tells them apart: what differs, else the names, else numbers.

    Of what differs, those settings are named that tell most, as many as are needed; then as many
    others as leave all labels, with GAP cells before each, within `room` cells.
    """
    lines = [Line(run) for run in runs]
    first, rest = enough(lines, aside)
    settings: list[str] = []
    for more in range(len(rest), -1, -1):
        settings = [words(line, [*first, *rest[:more]]) for line in lines]
        if sum(GAP + len(text) for text in settings) <= room:
            break
    names = [plain(line.given_name) for line in lines]
    either = [text or plain(run.name) for text, run in zip(settings, runs, strict=True)]
    for texts in (settings, names, either):
        if all(texts) and len(set(texts)) == len(texts):
            break
    told = [
        text if texts.count(text) == 1 else f"{text} #{texts[: i + 1].count(text)}"
        for i, text in enumerate(texts)
    ]
    return [f"{text} demo" if run.synthetic else text for text, run in zip(told, runs, strict=True)]


@dataclass(frozen=True)
class Entry:
    """One row and one curve of a comparison: a run, or runs that are equal but for the seed."""

    runs: tuple[Run, ...]
    logs: tuple[Log, ...]
    """Each run's epochs."""

    @property
    def first(self) -> Run:
        """The run whose settings stand for all."""
        return self.runs[0]

    def figure(self, name: str) -> Spread | None:
        """A field of the runs as one figure; None where no run has it."""
        return Spread.of(FIELDS[name].value(run) for run in self.runs)

    def differences(self, baseline: "Entry") -> dict[str, float | None]:
        """Each figure's mean less the baseline's."""
        return {name: difference(self.figure(name), baseline.figure(name)) for name in COMPARED}

    def curve(
        self, metric: str, axis: Axis = "epoch", smoothing: float = 0.0, band: Band = "sd"
    ) -> list[Sample]:
        """Its curve of a metric; empty where the axis is unknown."""
        batch_size = self.first.spec.batch_size if self.first.spec else 1
        return samples(
            self.logs, metric, axis, batch_size=batch_size, smoothing=smoothing, band=band
        )

    @property
    def broken_at(self) -> int | None:
        """The first epoch at which a run's figures stopped being finite."""
        found = [_broken_at(run, log) for run, log in zip(self.runs, self.logs, strict=True)]
        return min((epoch for epoch in found if epoch is not None), default=None)

    @property
    def status(self) -> str:
        """The runs' status, where it is told: `diverged at 7`, `2 finished, 1 running`."""
        words = [status_words(run, log) for run, log in zip(self.runs, self.logs, strict=True)]
        counted = {word: words.count(word) for word in words}
        if len(words) == 1:
            return words[0]
        return ", ".join(f"{count} {word}" for word, count in counted.items())

    @property
    def remark(self) -> str:
        """What to write where the curve breaks: `diverged at 7`, `1 of 3 diverged at 7`."""
        if self.broken_at is None:
            return ""
        diverged = sum(run.status == "diverged" for run in self.runs)
        word = "diverged" if diverged else "not finite"
        some = f"{diverged} of {len(self.runs)} " if diverged and len(self.runs) > 1 else ""
        return f"{some}{word} at {self.broken_at}"


def difference(figure: Spread | None, baseline: Spread | None) -> float | None:
    """One mean less the other; None where one is unknown."""
    return None if figure is None or baseline is None else figure.mean - baseline.mean


def _broken_at(run: Run, log: Log) -> int | None:
    if run.status == "diverged":
        return log[-1].epoch if log else run.summary.epochs_done or None
    return next((epoch.epoch for epoch in log if epoch.not_finite), None)


def status_words(run: Run, log: Log) -> str:
    """A run's status, with the epoch at which it diverged."""
    epoch = _broken_at(run, log) if run.status == "diverged" else None
    return run.status if epoch is None else f"{run.status} at {epoch}"


def entries(
    runs: Sequence[Run], logs: Sequence[Log] | None = None, *, grouped: bool = False
) -> list[Entry]:
    """One entry per run; or, grouped, per setting: its runs, on one kind of images, by seed.

    `logs` are the runs' epochs, read from the folders where they are not given.
    """
    if logs is None:
        logs = [read_epochs(run.path) for run in runs]
    key: Callable[[Run], Any] = _setting_key if grouped else lambda run: run.id
    found: dict[Any, list[tuple[Run, Log]]] = {}
    for run, log in zip(runs, logs, strict=True):
        found.setdefault(key(run), []).append((run, log))
    return [
        Entry(tuple(run for run, _ in each), tuple(log for _, log in each))
        for each in found.values()
    ]


def _setting_key(run: Run) -> Any:
    alone = run.spec is None or run.edited
    return run.id if alone else (identity(run.spec), run.summary.source)


def entry_labels(found: Sequence[Entry], room: int = 0) -> list[str]:
    """A label per entry; a group's does not speak of what its runs differ in."""
    aside = WITHOUT_EFFECT if _has_groups(found) else ()
    return labels([entry.first for entry in found], aside, room)


def given_names(found: Sequence[Entry]) -> list[str]:
    """What a person calls each entry's run; nothing where nobody named it, or there are groups."""
    return ["" if _has_groups(found) else plain(Line(e.first).given_name) for e in found]


def _has_groups(found: Sequence[Entry]) -> bool:
    return any(len(entry.runs) > 1 for entry in found)


@dataclass(frozen=True)
class Asked:
    """What a comparison is to hold besides the settings that differ and the figures."""

    baseline: Run | None = None
    """One of the runs, whose figures are subtracted."""
    grouped: bool = False
    metric: str | None = None
    """Whose curves are wanted, if any."""
    axis: Axis = "epoch"
    smoothing: float = 0.0


def baseline_among(found: Sequence[Entry], run_id: str) -> Entry | None:
    """The entry that holds this run."""
    return next((e for e in found if any(run.id == run_id for run in e.runs)), None)


def compare(runs: Sequence[Run], asked: Asked | None = None) -> dict[str, Any]:
    """Runs beside each other, for programs.

    `settings` holds what differs and `runs` each run's figures and epochs; with a baseline also
    its `difference`; `groups` the mean figures of repetitions; `curves` one metric's.
    """
    asked = asked or Asked()
    alone = entries(runs)
    shown = entries(runs, [entry.logs[0] for entry in alone], grouped=True)
    found: dict[str, Any] = {
        "settings": differing(runs),
        "runs": [
            entry.first.to_dict()
            | {"epochs_log": [to_json(epoch) for epoch in entry.logs[0]]}
            | _difference(entry, alone, asked)
            for entry in alone
        ],
    }
    if asked.baseline is not None:
        found["baseline"] = asked.baseline.id
    if asked.grouped:
        found["groups"] = _groups(shown, asked)
    if asked.metric is not None:
        found["curves"] = _curves(shown if asked.grouped else alone, asked.metric, asked)
    return found


def _difference(entry: Entry, found: Sequence[Entry], asked: Asked) -> dict[str, Any]:
    base = baseline_among(found, asked.baseline.id) if asked.baseline else None
    return {"difference": entry.differences(base)} if base else {}


def _groups(found: Sequence[Entry], asked: Asked) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "runs": [run.id for run in entry.runs],
            "status": entry.status,
            "figures": {
                name: None if (figure := entry.figure(name)) is None else vars(figure)
                for name in COMPARED
            },
        }
        | _difference(entry, found, asked)
        for label, entry in zip(entry_labels(found), found, strict=True)
    ]


def _curves(found: Sequence[Entry], metric: str, asked: Asked) -> dict[str, Any]:
    curves = [
        {
            "label": label,
            "runs": [run.id for run in entry.runs],
            "broken_at": entry.broken_at,
            "points": [s.to_dict() for s in entry.curve(metric, asked.axis, asked.smoothing)],
        }
        for label, entry in zip(entry_labels(found), found, strict=True)
    ]
    return {"metric": metric, "over": asked.axis, "smoothing": asked.smoothing, "curves": curves}


def best_entry(found: Sequence[Entry]) -> Entry | None:
    """The entry with the highest mean best val_acc; demo runs count only without others."""
    trained = [entry for entry in found if entry.figure("val_acc") is not None]
    real = [entry for entry in trained if not entry.first.synthetic]

    def mean(entry: Entry) -> float:
        figure = entry.figure("val_acc")
        return figure.mean if figure else -1.0

    return max(real or trained, key=mean, default=None)


def zoomed(
    window: Window | None, whole: Window, factor: float, about: float | None, least: float
) -> Window | None:
    """The window with its width multiplied by `factor`, from `least` up to the whole.

    `about` keeps its place in the window; without it the middle does.
    """
    low, high = window or whole
    place = about if about is not None and low <= about <= high else (low + high) / 2
    width = max((high - low) * factor, least)
    if width >= whole[1] - whole[0]:
        return None
    share = (place - low) / (high - low)
    start = place - share * width
    return _inside((start, start + width), whole)


def panned(window: Window | None, whole: Window, share: float) -> Window | None:
    """The window moved by a share of its width, within the whole."""
    if window is None:
        return None
    step = (window[1] - window[0]) * share
    return _inside((window[0] + step, window[1] + step), whole)


def showing(window: Window | None, whole: Window, x: float) -> Window | None:
    """The window moved as little as needed to have x in sight."""
    if window is None or window[0] <= x <= window[1]:
        return window
    step = x - window[0] if x < window[0] else x - window[1]
    return _inside((window[0] + step, window[1] + step), whole)


def next_stop(stops: Sequence[float], x: float, step: int, least: float) -> float:
    """The next of the sorted stops towards `step`, at least so far off; else the one at the end."""
    if step > 0:
        return next((stop for stop in stops if stop > x and stop >= x + least), stops[-1])
    return next((stop for stop in reversed(stops) if stop < x and stop <= x - least), stops[0])


def _inside(window: Window, whole: Window) -> Window:
    low, high = window
    width = high - low
    low = max(whole[0], min(low, whole[1] - width))
    return low, low + width
