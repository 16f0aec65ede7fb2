"""surface.json: a slice of a run's loss surface, kept with the run so that it is computed once."""

import math
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rich.color import Color
from rich.style import Style
from rich.text import Text

from cifar_tui.drawing import SHADES, Pixel, half_blocks
from cifar_tui.errors import UserError
from cifar_tui.runs.derived import Derived, read_derived
from cifar_tui.runs.listing import Run
from cifar_tui.table import Column, Table, cut_middle, figures
from cifar_tui.text import loss, plain

FILE = "surface.json"
LEAST_SIZE, MOST_SIZE = 3, 101
NEAR = 0.5
"""How much above the loss at the centre still counts as flat."""
CENTRE = "o"
COLOURS: Sequence[Pixel] = (
    *((38, 20, 80), (40, 50, 120), (36, 80, 136), (30, 108, 140), (26, 136, 136)),
    *((44, 160, 120), (92, 184, 96), (150, 204, 70), (204, 218, 58), (250, 232, 90)),
)
"""From the least loss to the largest, dark to light, so that it reads without hues as well."""
INKS, LIGHT = ("#ffffff", "#000000"), 4
"""The colours of texts over these, the second from this one on."""
LEAST = 1e-4
"""Losses below are drawn as this one: a log scale has no 0."""
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


class Surface(Derived):
    """The mean losses on a grid around the weights of one checkpoint; null where not finite.

    `losses` has a row for each step along the second direction, from -radius to radius.
    """

    slice: Slice
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
        return min(self.finite)

    @property
    def highest(self) -> float:
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
            f"Loss on {how.images:,} validation images{' (synthetic)' * self.synthetic} along "
            f"two random directions, each filter scaled to the net's own; radius {how.radius:g}, "
            f"{how.size}x{how.size} points, seed {how.seed}. "
            "Batch norm keeps its running statistics."
        )

    def figures(self) -> dict[str, float]:
        """What is said of a slice in numbers."""
        return {name: getattr(self, name) for name in ("centre", "lowest", "highest", "flat")}


def kept_surface(run: Run, wanted: Slice, data: str | None = None) -> Surface | None:
    """The slice kept with a run, if it is the wanted one of its best weights and its own images.

    `data` is the fingerprint of other images that it must be about.
    """
    found = read_derived(run, FILE, Surface, data)
    return found if found is not None and found.slice == wanted else None


def surface_table(titles: Sequence[str], surfaces: Sequence[Surface]) -> Table:
    """A row per slice: its losses, and the share of it within 0.5 of the centre's."""
    names = ("centre", "lowest", "highest", "within 0.5")
    rows = [
        (title, *map(loss, surface.figures().values()))
        for title, surface in zip(titles, surfaces, strict=True)
    ]
    return Table([Column("run", 8, grows=True), *figures(*names, width=12)], rows)


def _common_scale(surfaces: Sequence[Surface]) -> tuple[float, float]:
    """Least and largest loss of several slices."""
    low = min(surface.lowest for surface in surfaces)
    high = max(surface.highest for surface in surfaces)
    return low, high if high > low else math.nextafter(low, math.inf)


def shaded(
    losses: Sequence[Sequence[float | None]], low: float, high: float, width: int, height: int
) -> list[str]:
    """A slice of a loss surface in `height` lines of `width` cells, on a log scale.

    Between its points the log loss is interpolated; a loss that is no number counts as the
    largest. The centre is marked.
    """
    bands = _bands(losses, low, high, width, height)
    lines = ["".join(SHADES[band] for band in row) for row in bands]
    middle, centre = height // 2, width // 2
    lines[middle] = f"{lines[middle][:centre]}{CENTRE}{lines[middle][centre + 1 :]}"
    return lines


def coloured(
    losses: Sequence[Sequence[float | None]], low: float, high: float, width: int, height: int
) -> list[Text]:
    """The same in colours, a half cell each."""
    bands = _bands(losses, low, high, width, 2 * height)
    pixels = [[COLOURS[band] for band in row] for row in bands]
    drawn = (half_blocks(*rows) for rows in zip(pixels[::2], pixels[1::2], strict=True))
    lines = [Text.assemble(*((s.text, s.style or "") for s in line)) for line in drawn]
    middle, centre = height // 2, width // 2
    ground = Color.from_rgb(*pixels[2 * middle][centre])
    mark = (CENTRE, Style(color=INKS[0], bgcolor=ground, bold=True))
    lines[middle] = Text.assemble(lines[middle][:centre], mark, lines[middle][centre + 1 :])
    return lines


def _bands(
    losses: Sequence[Sequence[float | None]], low: float, high: float, width: int, height: int
) -> list[list[int]]:
    """Which of the ten steps from the least loss to the largest each cell is on."""
    levels = [[_level(loss, low, high) for loss in row] for row in losses]
    last, steps = len(levels) - 1, len(SHADES)
    rows = [last * (1 - (row + 0.5) / height) for row in range(height)]
    columns = [last * (i + 0.5) / width for i in range(width)]
    return [
        [min(steps - 1, int(_interpolated(levels, x, y) * steps)) for x in columns] for y in rows
    ]


def slice_pictures(
    titles: Sequence[str],
    surfaces: Sequence[Surface],
    width: int,
    height: int,
    *,
    colours: bool = False,
) -> list[Text]:
    """Slices of loss surfaces side by side under their titles, on one scale."""
    each = width // len(surfaces)
    scale = _common_scale(surfaces)
    draw = coloured if colours else shaded
    drawn = [draw(surface.losses, *scale, each - 1, height) for surface in surfaces]
    heads = [f"{cut_middle(plain(title), each - 1):<{each - 1}}" for title in titles]
    return [
        Text(" ").join(Text(part) if isinstance(part, str) else part for part in row)
        for row in (heads, *zip(*drawn, strict=True))
    ]


def shade_legend(surfaces: Sequence[Surface], *, colours: bool = False) -> Text:
    """Each shade of pictures on one scale, with the least loss it stands for."""
    first, last = map(_log, _common_scale(surfaces))
    text = Text("loss from ")
    for i, shade in enumerate(SHADES):
        least = f" {math.exp(first + (last - first) * i / len(SHADES)):.2g}"
        if colours:
            ink, ground = INKS[i >= LIGHT], Color.from_rgb(*COLOURS[i])
            text.append(f"{least} ", Style(color=ink, bgcolor=ground))
        elif i:
            text.append(f" {shade}{least}")
    return text


def _level(loss: float | None, low: float, high: float) -> float:
    """0 at the least loss, 1 at the largest, in the logarithm."""
    if loss is None:
        return 1.0
    first, last = _log(low), _log(high)
    return (_log(loss) - first) / (last - first) if last > first else 0.0


def _log(loss: float) -> float:
    return math.log(max(loss, LEAST))


def _interpolated(grid: Sequence[Sequence[float]], x: float, y: float) -> float:
    """Bilinear interpolation at column x and row y."""
    column, row = min(int(x), len(grid[0]) - 2), min(int(y), len(grid) - 2)
    right, down = x - column, y - row
    above, below = (
        line[column] * (1 - right) + line[column + 1] * right for line in grid[row : row + 2]
    )
    return above * (1 - down) + below * down
