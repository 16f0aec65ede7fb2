"""surface.json: a slice of a run's loss surface, kept with the run so that it is computed once."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cifar_tui.errors import UserError
from cifar_tui.files import fingerprint, read_json, sweep, write_json
from cifar_tui.runs.listing import Run
from cifar_tui.runs.origin import origin_of
from cifar_tui.runs.record import Count, Line
from cifar_tui.text import loss as loss_text

FILE = "surface.json"
LEAST_SIZE, MOST_SIZE = 3, 101
SYNTHETIC = " (synthetic)"
NEAR = 0.5
"""How much above the loss at the centre still counts as flat."""
Loss = Annotated[float, Field(ge=0)]


class Slice(BaseModel):
    """What decides a slice: points per side, half its width, and which images and directions.

    `radius` is in units of the weights' own size: at 1 each filter has moved by its own norm.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    size: Annotated[int, Field(ge=LEAST_SIZE, le=MOST_SIZE)] = 21
    radius: Annotated[float, Field(gt=0, le=100)] = 1.0
    images: Annotated[int, Field(ge=1, le=50_000)] = 500
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


def make_slice(**values: float) -> Slice:
    """A slice of these values; raises UserError naming the wrong one and what it must be."""
    try:
        return Slice.model_validate(values)
    except ValidationError as error:
        wrong = error.errors()[0]
        name, said = str(wrong["loc"][0]), wrong["msg"].removeprefix("Input should be ")
        raise UserError(f"{name} must be {said}; got {values[name]:g}.") from None


class Surface(BaseModel):
    """The mean losses on a grid around the weights of one checkpoint; null where not finite.

    `losses` has a row for each step along the second direction, from -radius to radius.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    slice: Slice
    weights: str
    """First 16 hex digits of the checkpoint file's sha256."""
    epoch: Count
    source: Line
    data: Line = ""
    """The images' fingerprint; empty where it was not noted."""
    centre: Loss
    """Loss at the weights themselves, also where no point of the grid lies on them."""
    seconds: float
    losses: tuple[tuple[Loss | None, ...], ...]

    @model_validator(mode="after")
    def _square(self) -> Self:
        size = self.slice.size
        if len(self.losses) != size or any(len(row) != size for row in self.losses):
            raise ValueError("losses are not size x size")
        return self

    @property
    def finite(self) -> list[float]:
        """The losses that are numbers, and the one at the centre."""
        return [self.centre, *(loss for row in self.losses for loss in row if loss is not None)]

    @property
    def lowest(self) -> float:
        """The least loss of the slice."""
        return min(self.finite)

    @property
    def highest(self) -> float:
        """The largest finite loss of the slice."""
        return max(self.finite)

    @property
    def flat(self) -> float:
        """Share of the slice whose loss is at most 0.5 above the one at the centre."""
        near = sum(loss <= self.centre + NEAR for loss in self.finite[1:])
        return near / self.slice.size**2

    def words(self) -> str:
        """How the slice was made."""
        how = self.slice
        return (
            f"Loss on {how.images:,} validation images{SYNTHETIC * (self.source == 'demo')} along "
            f"two random directions, each filter scaled to the net's own; radius {how.radius:g}, "
            f"{how.size}x{how.size} points, seed {how.seed}. "
            "Batch norm keeps its running statistics."
        )

    def figures(self) -> dict[str, float]:
        """What is said of a slice in numbers."""
        return {
            "centre": self.centre,
            "lowest": self.lowest,
            "highest": self.highest,
            "flat": self.flat,
        }


def read_surface(run: Run, wanted: Slice, data: str | None = None) -> Surface | None:
    """The slice kept with a run; None when there is none of this kind for its best weights.

    `data` is the fingerprint of the images it must be about, by default the run's own.
    """
    try:
        found = Surface.model_validate(read_json(run.path / FILE))
        current = found.slice == wanted and found.weights == fingerprint(run.path / "best.pt")
    except (OSError, ValueError):
        return None
    remark = origin_of(run).remark(found.data) if data is None else data != found.data
    return found if current and not remark else None


def write_surface(run: Path, surface: Surface) -> None:
    """Keep a slice with its run, in one step; raises OSError."""
    sweep(run / FILE)
    write_json(run / FILE, surface.model_dump(mode="json"))


FIGURES = ("centre", "lowest", "highest", "within 0.5")


def figure_cells(surface: Surface) -> tuple[str, ...]:
    """The columns FIGURES as text; the last is the share within 0.5 of the centre's loss."""
    losses = (surface.centre, surface.lowest, surface.highest)
    return *map(loss_text, losses), f"{surface.flat:.4f}"


def common_scale(surfaces: Sequence[Surface]) -> tuple[float, float]:
    """Least and largest loss of several slices, for pictures on one scale."""
    low = min(surface.lowest for surface in surfaces)
    high = max(surface.highest for surface in surfaces)
    return low, high if high > low else math.nextafter(low, math.inf)
