"""What an experiment is, and every one of the assignment, with the report's and others' figures.

The figures are best validation accuracies of runs whose seed was not fixed: they vary by about a
point, at lr 0.1 by far more. Others' are read from public notebooks, at the same settings only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.features.labs.trends import (
    EPOCHS_TO_GOAL,
    GOAL,
    SMALL_WEIGHTS,
    VAL_ACC,
    Measure,
    Trend,
    all_of,
    beats,
    interior_peak,
    reaches,
    sooner,
    stays_below,
    suffers_less,
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


LAB1_BAR, LAB2_BAR, LAB3_BAR = 0.65, 0.70, 0.90
LEARNS_NOT = 0.2
"""Below this, ten classes count as not learned."""

AUG: dict[str, Any] = {"augment": True}
BN: dict[str, Any] = {**AUG, "batch_norm": True}
STEP: dict[str, Any] = {"schedule": "step", "decay_every": 10, "decay_factor": 0.1}
LAB3: dict[str, Any] = {**AUG, **STEP, "lr": 0.1}
PLAIN_LARGE_LR_SD, BN_LARGE_LR_SD = 0.19, 0.13
"""Standard deviation of the known figures at lr 0.1 with augmentation: without batch norm 0.266,
0.4946 and 0.644; with it 0.353, 0.6780, 0.682, 0.6862, 0.688, 0.707 and 0.717."""
RESNET: dict[str, Any] = {"model": "resnet", "depth": 20, "shortcut": "A"}
BASELINE, WITH_AUG = Others(0.641, 0.663, 11), Others(0.697, 0.715, 5)
WITH_BN = Others(0.714, 0.738, 5)
CURVES = "the curves of val_acc, and of the two losses as they part"

LABS: tuple[Lab, ...] = (
    Lab(
        name="lab1-baseline",
        question=f"Does SimpleNN reach {LAB1_BAR:g} without augmentation?",
        arms=(Arm("baseline", {}, 0.6564, BASELINE),),
        trend=reaches("baseline", LAB1_BAR),
        look_at="the losses: val_loss turns up while train_loss still falls",
        bar=LAB1_BAR,
    ),
    Lab(
        name="lab1-decay",
        question="Does lr decay help (x0.1 every 10 epochs)?",
        arms=(
            Arm("no decay", {}, 0.6564, BASELINE),
            Arm("decay", STEP, 0.6978, Others(0.675, 0.680, 3)),
        ),
        trend=beats("decay", "no decay"),
        look_at="the jump of val_acc in the epochs after each decay",
        bar=LAB1_BAR,
        note="The report's code lowers lr one epoch late; here it falls before epochs 11 and 21.",
    ),
    Lab(
        name="lab2-augment",
        question="Does augmentation help (crop and flip)?",
        arms=(Arm("no aug", {}, 0.6564, BASELINE), Arm("aug", AUG, 0.6982, WITH_AUG)),
        trend=beats("aug", "no aug"),
        look_at="the gap between train_acc and val_acc",
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-bn",
        question="Does batch norm help?",
        arms=(Arm("no bn", AUG, 0.6982, WITH_AUG), Arm("bn", BN, 0.7224, WITH_BN)),
        trend=beats("bn", "no bn"),
        look_at=CURVES,
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-bn-lr",
        question="Does a large lr hurt less with batch norm than without?",
        arms=(
            Arm("no bn lr 0.01", AUG, 0.7106, WITH_AUG),
            Arm(
                "no bn lr 0.1",
                {**AUG, "lr": 0.1},
                0.4946,
                Others(0.266, 0.644, 2),
                PLAIN_LARGE_LR_SD,
            ),
            Arm("bn lr 0.01", BN, 0.7180, WITH_BN),
            Arm("bn lr 0.1", {**BN, "lr": 0.1}, 0.6862, Others(0.353, 0.707, 2), BN_LARGE_LR_SD),
        ),
        trend=suffers_less(
            robust=("bn lr 0.01", "bn lr 0.1"), fragile=("no bn lr 0.01", "no bn lr 0.1")
        ),
        look_at="how much val_acc each loses from lr 0.01 to 0.1",
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-swish",
        question="Does Swish beat ReLU at lr 0.1 with batch norm?",
        arms=(
            Arm("relu", {**BN, "lr": 0.1}, 0.6862, Others(0.688, 0.688, 1), BN_LARGE_LR_SD),
            Arm("swish", {**BN, "lr": 0.1, "activation": "swish"}, 0.7242, Others(0.723, 0.726, 2)),
        ),
        trend=beats("swish", "relu"),
        look_at=CURVES,
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-lr",
        question="Has val_acc one peak over lr, while lr 1.0 does not learn?",
        arms=(
            Arm("lr 1.0", {**BN, "lr": 1.0}, 0.1054, Others(0.103, 0.105, 3)),
            Arm("lr 0.1", {**BN, "lr": 0.1}, 0.6780, Others(0.682, 0.717, 3), BN_LARGE_LR_SD),
            Arm("lr 0.05", {**BN, "lr": 0.05}, 0.7120, Others(0.706, 0.734, 3)),
            Arm("lr 0.01", BN, 0.7218, Others(0.717, 0.738, 3)),
            Arm("lr 0.005", {**BN, "lr": 0.005}, 0.6986, Others(0.700, 0.718, 3)),
            Arm("lr 0.001", {**BN, "lr": 0.001}, 0.6448, Others(0.625, 0.636, 3)),
        ),
        trend=all_of(
            stays_below("lr 1.0", LEARNS_NOT),
            interior_peak("lr 1.0", "lr 0.1", "lr 0.05", "lr 0.01", "lr 0.005", "lr 0.001"),
        ),
        look_at="best val_acc over lr; the loss at lr 1.0 beside ln 10",
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-l2",
        question="Does L2 of 1e-2 underfit?",
        arms=(
            Arm("L2 1e-2", {**BN, "l2": 1e-2}, 0.6366, Others(0.596, 0.645, 4)),
            Arm("L2 1e-3", {**BN, "l2": 1e-3}, 0.7246, Others(0.664, 0.723, 4)),
            Arm("L2 1e-4", BN, 0.7202, Others(0.680, 0.728, 4)),
            Arm("L2 1e-5", {**BN, "l2": 1e-5}, 0.7162, Others(0.687, 0.735, 4)),
            Arm("L2 0", {**BN, "l2": 0.0}, 0.7236, Others(0.673, 0.727, 4)),
        ),
        trend=all_of(*(beats(f"L2 {l2}", "L2 1e-2") for l2 in ("1e-3", "1e-4", "1e-5", "0"))),
        look_at="train_acc: at 1e-2 it stays low as well",
        bar=LAB2_BAR,
    ),
    Lab(
        name="lab2-l1",
        question="Does L1 leave more weights near zero than L2?",
        arms=(Arm("L1 1e-4", {**BN, "l1": 1e-4, "l2": 0.0}), Arm("L2 1e-4", BN)),
        trend=beats("L1 1e-4", "L2 1e-4"),
        look_at="the share of weights below 1e-3, and the weights' histograms",
        measure=SMALL_WEIGHTS,
        bar=LAB2_BAR,
        note="The report shows histograms: with L1 near zero, with L2 bell-shaped.",
    ),
    Lab(
        name="lab3-resnet20",
        question="Does ResNet-20 beat SimpleNN by more than 10 points?",
        arms=(
            Arm("simplenn", {**LAB3, "batch_norm": True}, 0.7112),
            Arm("resnet20", {**LAB3, **RESNET}, 0.8788),
        ),
        trend=beats("resnet20", "simplenn", by=0.10),
        look_at="val_acc after the first decay",
        note="The report's net has depth 38 and 1x1 convolutions as shortcuts (option B); "
        "ResNet-20 has depth 20 and none (option A). Its SimpleNN is taken to have batch norm.",
    ),
    Lab(
        name="lab3-best",
        question=f"Does ResNet-20 exceed {LAB3_BAR:g} in 200 epochs?",
        arms=(
            Arm(
                "resnet20",
                {**AUG, **RESNET, "lr": 0.1, "epochs": 200}
                | {"schedule": "milestones", "milestones": (90, 140), "decay_factor": 0.1},
                0.9296,
                Others(0.884, 0.924, 8),
            ),
        ),
        trend=reaches("resnet20", LAB3_BAR),
        look_at="the jumps of val_acc after epochs 90 and 140",
        bar=LAB3_BAR,
        note="The report's net has depth 38 and 1x1 convolutions as shortcuts (option B); "
        "others' have options A or B.",
    ),
    Lab(
        name="lesson-augment",
        question="Does augmentation help a small model in few epochs, too?",
        arms=(Arm("no aug", {"epochs": 5}), Arm("aug", {**AUG, "epochs": 5})),
        trend=beats("aug", "no aug"),
        expected=False,
        look_at="train_acc: a model that underfits gains nothing from harder images",
        note="Question 1.1: augmentation is not always beneficial.",
    ),
    Lab(
        name="lesson-bn-dropout",
        question=f"Does batch norm reach {GOAL:.2f} sooner, and dropout later?",
        arms=(
            Arm("neither", {}),
            Arm("bn", {"batch_norm": True}),
            Arm("dropout", {"dropout": 0.5}),
        ),
        trend=all_of(sooner("bn", "neither"), sooner("neither", "dropout")),
        measure=EPOCHS_TO_GOAL,
        look_at="val_acc in the first epochs",
        note=f"Question 1.2. Never reaching {GOAL:.2f} counts as one epoch after the last.",
    ),
    Lab(
        name="lesson-combine",
        question="Do dropout and L2 together beat each of them alone?",
        arms=(
            Arm("dropout", {"dropout": 0.5, "l2": 0.0}),
            Arm("L2", {"l2": 1e-3}),
            Arm("both", {"dropout": 0.5, "l2": 1e-3}),
        ),
        trend=all_of(beats("both", "dropout"), beats("both", "L2")),
        expected=False,
        look_at="the gap between train_acc and val_acc, and what val_acc it costs",
        note="Question 1.3: using both does not always give the best result.",
    ),
    Lab(
        name="lesson-sparsity",
        question="Does L1 make the weights sparser than L2 of the same strength?",
        arms=(
            Arm("L1 1e-3", {"l1": 1e-3, "l2": 0.0}),
            Arm("L2 1e-3", {"l1": 0.0, "l2": 1e-3}),
        ),
        trend=beats("L1 1e-3", "L2 1e-3"),
        measure=SMALL_WEIGHTS,
        look_at="the share of weights below 1e-3",
        note="Question 1.4: L1 leaves the greater sparsity.",
    ),
    Lab(
        name="lesson-shortcuts",
        question="Does ResNet-20 train better with shortcuts than without?",
        arms=(
            Arm("shortcuts", {**LAB3, **RESNET}),
            Arm("no shortcuts", {**LAB3, **RESNET, "shortcut": "none"}),
        ),
        trend=beats("shortcuts", "no shortcuts"),
        look_at="train_loss, and the loss surface around both nets",
        note="Question 1.5: shortcuts smooth the loss surface. At 20 layers a plain net still "
        "trains; He et al. 2016 (section 4.2) see the gap widen with depth.",
    ),
)
BY_NAME = {lab.name: lab for lab in LABS}


def find_labs(*wanted: str) -> list[Lab]:
    """The experiments of these names, or that begin so, each once; all for `all`; else UserError.

    They come in the order of the lab book.
    """
    names = ", ".join(BY_NAME)
    if not wanted:
        raise UserError(f"Name a lab; there are {names}, or all.")
    found = []
    for word in wanted:
        some = [word] if word in BY_NAME else [n for n in BY_NAME if n.startswith(word)]
        if not some and word != "all":
            raise UserError(f"There is no lab '{word}'; there are {names}, or all.")
        found += list(BY_NAME) if word == "all" else some
    return [lab for lab in LABS if lab.name in found]
