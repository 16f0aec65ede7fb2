"""evaluation-val.json: what a run's best net says of each image of a labelled split.

It is kept with the run, so that it is computed once; confusion, accuracy per class, calibration
and the worst images are derived from it.
"""

import base64
import binascii
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cifar_tui.drawing import SIDE
from cifar_tui.runs.derived import Derived, read_derived
from cifar_tui.runs.events import LARGEST_FIGURE
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import Line
from cifar_tui.spec.settings import CLASSES

SplitName = Literal["val", "train", "test"]
SPLITS: tuple[SplitName, ...] = ("val", "train", "test")
PICTURES = 48
"""How many of the worst images are kept with their pixels."""
PIXELS = SIDE * SIDE * 3
BINS = 10
"""Of the reliability table."""
WELL = 0.02
"""Below this calibration error a net counts as well calibrated."""
CONFUSED = 10
"""How many of the most confused pairs are named."""

Label = Annotated[int, Field(ge=0, lt=CLASSES)]
Share = Annotated[float, Field(ge=0, le=1)]
Loss = Annotated[float, Field(ge=0, le=LARGEST_FIGURE)]
Picture = Annotated[str, Field(min_length=PIXELS // 3 * 4, max_length=PIXELS // 3 * 4)]


class Evaluation(Derived):
    """The label, the predicted class, its probability and the loss of each image of a split.

    A loss is -log of the probability given to the true class.
    """

    split: SplitName
    classes: tuple[Line, ...]
    """Their names, where the images came with any."""
    labels: tuple[Label, ...]
    predicted: tuple[Label, ...]
    confidence: tuple[Share, ...]
    losses: tuple[Loss, ...]
    pictures: tuple[Picture, ...]
    """Pixels of the first of `worst`, uint8 (32,32,3) each, in base64."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        columns = (self.labels, self.predicted, self.confidence, self.losses)
        if not self.labels or len({len(column) for column in columns}) != 1:
            raise ValueError("not one value per image")
        if len(self.classes) not in (0, CLASSES):
            raise ValueError(f"neither no names nor {CLASSES}")
        return self

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """What to call the classes: their numbers where the images have no names."""
        return self.classes or tuple(map(str, range(CLASSES)))

    @cached_property
    def accuracy(self) -> float:
        """Share of images whose predicted class is the true one."""
        return sum(self._right) / len(self)

    @property
    def loss(self) -> float:
        """Mean negative log likelihood of the true class: the cross-entropy."""
        return math.fsum(self.losses) / len(self)

    @property
    def mean_confidence(self) -> float:
        """Mean probability given to the predicted class."""
        return math.fsum(self.confidence) / len(self)

    @cached_property
    def _right(self) -> list[bool]:
        return [a == b for a, b in zip(self.labels, self.predicted, strict=True)]

    @cached_property
    def confusion(self) -> list[list[int]]:
        """Counts with a row for each true class and a column for each predicted one."""
        counted = Counter(zip(self.labels, self.predicted, strict=True))
        return [[counted[true, said] for said in range(CLASSES)] for true in range(CLASSES)]

    @cached_property
    def per_class(self) -> list["ClassFigures"]:
        """Recall and precision of each class."""
        return [_class_figures(self.confusion, label) for label in range(CLASSES)]

    @cached_property
    def reliability(self) -> list["Bin"]:
        """Accuracy beside confidence, in bins of equal width."""
        places = [max(1, math.ceil(round(c * BINS, 9))) - 1 for c in self.confidence]
        sums = [[0, 0.0, 0] for _ in range(BINS)]
        for place, confidence, right in zip(places, self.confidence, self._right, strict=True):
            sums[place][0] += 1
            sums[place][1] += confidence
            sums[place][2] += right
        return [
            Bin(i / BINS, (i + 1) / BINS, int(n), c / n if n else None, right / n if n else None)
            for i, (n, c, right) in enumerate(sums)
        ]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error with 10 bins (Guo et al. 2017, equation 3)."""
        return math.fsum(bin.images / len(self) * abs(bin.gap) for bin in self.reliability)

    @cached_property
    def worst(self) -> list["Mistake"]:
        """All wrong images, the highest probability given to a wrong class first."""
        wrong = [i for i, right in enumerate(self._right) if not right]
        wrong.sort(key=lambda i: (-self.confidence[i], i))
        return [
            Mistake(i, self.labels[i], self.predicted[i], self.confidence[i], self.truth(i))
            for i in wrong
        ]

    def truth(self, image: int) -> float:
        """The probability given to an image's true class."""
        return math.exp(-self.losses[image])

    @cached_property
    def confused(self) -> list["Confusion"]:
        """The pairs of classes of which one was taken for the other, the most frequent first."""
        found = [
            Confusion(true, said, count)
            for true, row in enumerate(self.confusion)
            for said, count in enumerate(row)
            if count and true != said
        ]
        return sorted(found, key=lambda pair: -pair.images)

    def pixels(self, place: int) -> bytes:
        """The pixels of one of the worst images, row by row; black where they are damaged."""
        try:
            found = base64.b64decode(self.pictures[place], validate=True)
        except (ValueError, binascii.Error):
            found = b""
        return found if len(found) == PIXELS else bytes(PIXELS)

    def verdict(self) -> str:
        """Whether the net is as sure as it is right, in a word."""
        gap = self.mean_confidence - self.accuracy
        if self.calibration_error < WELL:
            return "well calibrated"
        return "overconfident" if gap > 0 else "underconfident"

    def remark(self) -> str:
        """What must be said beside the figures of this split; empty for the validation split."""
        if self.split == "test":
            return "The test split never picks a model: look at it once, at the end."
        if self.split == "train":
            return "These are images that the net was trained on."
        return ""

    def images_text(self) -> str:
        """How many images of which split: `5,000 val images`."""
        return f"{len(self):,} {self.split} images{' (synthetic)' * self.synthetic}"

    def figures(self, worst: int = PICTURES) -> dict[str, Any]:
        """Everything that is derived, for programs, with up to `worst` of the worst images."""
        return {
            "split": self.split,
            "epoch": self.epoch,
            "images": len(self),
            "source": self.source,
            "synthetic": self.synthetic,
            "data": self.data,
            "classes": list(self.classes),
            "accuracy": self.accuracy,
            "loss": self.loss,
            "mean_confidence": self.mean_confidence,
            "ece": self.calibration_error,
            "confusion": self.confusion,
            "per_class": [asdict(one) for one in self.per_class],
            "reliability": [asdict(bin) for bin in self.reliability],
            "confused": [asdict(pair) for pair in self.confused[:CONFUSED]],
            "wrong": len(self.worst),
            "worst": [asdict(mistake) for mistake in self.worst[:worst]],
        }


@dataclass(frozen=True)
class ClassFigures:
    """One class: its images, and how many were predicted; None where a share has no base.

    `recall` is the share of its images that were found, its accuracy; `precision` the share of
    what was taken for it that is right.
    """

    label: int
    images: int
    predicted: int
    recall: float | None
    precision: float | None


def _class_figures(confusion: Sequence[Sequence[int]], label: int) -> ClassFigures:
    hits = confusion[label][label]
    images, predicted = sum(confusion[label]), sum(row[label] for row in confusion)
    recall = hits / images if images else None
    return ClassFigures(label, images, predicted, recall, hits / predicted if predicted else None)


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies above `low` and up to `high`; means are None without any."""

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None

    @property
    def gap(self) -> float:
        """Accuracy minus confidence; 0 without images."""
        return 0.0 if not self.images else (self.accuracy or 0.0) - (self.confidence or 0.0)


@dataclass(frozen=True)
class Mistake:
    """A wrong image by its place in the split, with the probabilities of both classes."""

    image: int
    true: int
    predicted: int
    probability: float
    probability_of_true: float


@dataclass(frozen=True)
class Confusion:
    """How many images of the class `true` were taken for `predicted`."""

    true: int
    predicted: int
    images: int


def encoded(pixels: bytes) -> str:
    """One image's pixels as they are kept."""
    return base64.b64encode(pixels).decode()


def file_of(split: SplitName) -> str:
    """The file of a run's folder in which its evaluation on a split is kept."""
    return f"evaluation-{split}.json"


def kept_evaluation(run: Run, split: SplitName, data: str | None = None) -> Evaluation | None:
    """The evaluation kept with a run, if it is about its best weights and its own images.

    `data` is the fingerprint of other images that it must be about.
    """
    found = read_derived(run, file_of(split), Evaluation, data)
    return found if found is not None and found.split == split else None
