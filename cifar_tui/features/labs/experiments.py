"""What an experiment is: its question, its settings, and how its runs are scaled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.features.labs.trends import (
    VAL_ACC,
    Measure,
    Trend,
)
from cifar_tui.spec.checks import make_spec
from cifar_tui.spec.settings import SHOWN_NAME_LENGTH, RunSpec

MOST_SEEDS = 100
FULL_EPOCHS = 30
"""What the assignment trains for, unless an experiment says otherwise."""


@dataclass(frozen=True)
class Scale:
    """How much of an experiment is trained: None and 0 stand for its full setting."""

    epochs: int | None = None
    seeds: int = 1
    subset: int = 0
    precision: str = "fp32"


def make_scale(
    epochs: int | str | None = None,
    seeds: int | str = 1,
    subset: int | str = 0,
    precision: str = "fp32",
) -> Scale:
    """A scale from numbers or their texts, an empty one for the usual; raises UserError."""
    values = {"epochs": epochs, "subset": subset, "precision": precision}
    spec = make_spec({name: value for name, value in values.items() if value not in (None, "")})
    number = str(seeds) or "1"
    if not (number.isdecimal() and 1 <= int(number) <= MOST_SEEDS):
        raise UserError(f"seeds must be a whole number from 1 up to {MOST_SEEDS}; got {seeds}.")
    return Scale(
        None if epochs in (None, "") else spec.epochs, int(number), spec.subset, spec.precision
    )


@dataclass(frozen=True)
class Others:
    """Lowest and highest of `n` other students' figures."""

    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """`0.714-0.738 (5)`."""
        span = [self.low] if self.low == self.high else [self.low, self.high]
        return f"{'-'.join(f'{figure:.3f}' for figure in span)} ({self.n})"


@dataclass(frozen=True)
class Arm:
    """One of the settings that an experiment compares, with the figures known for it."""

    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    report: float | None = None
    others: Others | None = None
    seed_sd: float | None = None
    """What runs that differ in nothing but the seed are taken to vary by; None for as usual."""

    @property
    def epochs(self) -> int:
        """Epochs of the full setting."""
        return int(self.settings.get("epochs", FULL_EPOCHS))

    @property
    def others_words(self) -> str:
        """`0.714-0.738 (5)`: the others' range and how many they are, or `-`."""
        return "-" if self.others is None else str(self.others)

    def spec(self, lab: str, scale: Scale, seed: int = 0, **where: Any) -> RunSpec:
        """The run of this setting with this seed; `where` names images and device.

        With fewer epochs, the schedule shrinks with them; raises UserError for a wrong scale.
        """
        epochs = self.epochs if scale.epochs is None else scale.epochs
        given = {
            **self.settings,
            **_shrunk(self.settings, epochs / self.epochs),
            "epochs": epochs,
            "seed": seed,
            "subset": scale.subset,
            "precision": scale.precision,
            "name": f"{lab} {self.label}{f' seed {seed}' if seed else ''}"[:SHOWN_NAME_LENGTH],
            "tags": (lab,),
            **where,
        }
        return make_spec(given)


def _shrunk(settings: Mapping[str, Any], share: float) -> dict[str, Any]:
    """The schedule's lengths as the same share of the epochs, each at least one epoch."""
    found: dict[str, Any] = {}
    if "decay_every" in settings:
        found["decay_every"] = max(1, round(settings["decay_every"] * share))
    if "milestones" in settings:
        found["milestones"] = sorted({max(1, round(m * share)) for m in settings["milestones"]})
    return found


@dataclass(frozen=True)
class Lab:
    """One experiment of the assignment, or one of our own that shows what it asks to argue."""

    name: str
    question: str
    """Answered by yes or no."""
    arms: tuple[Arm, ...]
    trend: Trend
    """Holds when the answer is yes."""
    look_at: str
    expected: bool = True
    """The answer of the report, or of the textbook."""
    measure: Measure = VAL_ACC
    bar: float | None = None
    """The validation accuracy that the assignment asks for."""
    note: str = ""

    @property
    def seed_sds(self) -> dict[str, float | None]:
        """What each setting's runs are taken to vary by, until some are there; None: not known."""
        usual = self.measure.seed_sd
        return {a.label: usual if a.seed_sd is None else a.seed_sd for a in self.arms}
