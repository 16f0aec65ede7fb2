"""The demo set: ten kinds of figure drawn over clutter, so that everything works without data."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_tui.data.dataset import SIDE, Dataset, Split

Floats = NDArray[np.floating[Any]]
Figure = Callable[[Floats, Floats], Floats]

TRAIN, VAL, TEST = 6_000, 1_000, 1_000

# Chosen by training: SimpleNN reaches about 0.75 in ten epochs, with batch norm and crops alike.
SHIFT_PIXELS = 2.5
RADIUS_PIXELS = (9.5, 13.0)
TILT_RADIANS = 0.6
HUE_SPREAD = 0.13
CLUTTER = 0.25
SPECKS = 2
BAR_SHARE = 0.3
NOISE_LEVELS = 20


def _disc(u: Floats, v: Floats) -> Floats:
    return np.hypot(u, v) - 0.9


def _ring(u: Floats, v: Floats) -> Floats:
    return np.abs(_disc(u, v) + 0.2) - 0.2


def _square(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.abs(u), np.abs(v)) - 0.8


def _frame(u: Floats, v: Floats) -> Floats:
    return np.abs(_square(u, v) + 0.17) - 0.17


def _triangle(u: Floats, v: Floats) -> Floats:
    return np.maximum(0.87 * np.abs(u) + 0.5 * v, -v) - 0.55


def _cross(u: Floats, v: Floats) -> Floats:
    u, v = np.abs(u), np.abs(v)
    return np.maximum(np.minimum(u, v) - 0.28, np.maximum(u, v) - 1)


def _star(u: Floats, v: Floats) -> Floats:
    return np.hypot(u, v) - 0.72 - 0.33 * np.cos(5 * np.arctan2(u, v))


def _crescent(u: Floats, v: Floats) -> Floats:
    return np.maximum(_disc(u, v), 0.75 - np.hypot(u - 0.5, v))


def _stripes(u: Floats, v: Floats) -> Floats:
    return np.maximum(_square(u, v), np.sin(9 * u) / 9)


def _checks(u: Floats, v: Floats) -> Floats:
    return np.maximum(_square(u, v), np.sin(6 * u) * np.sin(6 * v) / 6)


# Each is negative inside its figure, which fills the unit circle; (u, v) are (N,32,32).
FIGURES: dict[str, Figure] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "crescent": _crescent,
    "stripes": _stripes,
    "checks": _checks,
}


def draw_demo(seed: int = 0) -> Dataset:
    """Draw 6,000/1,000/1,000 labelled images, the ten classes in equal shares.

    The same seed gives the same bytes. A mirror image keeps its class. A figure's hue leans
    towards its class, which a network finds first; its shape is what remains to be learned.
    """
    rng = np.random.default_rng(seed)
    train, val, test = (_draw_split(rng, count) for count in (TRAIN, VAL, TEST))
    return Dataset("demo", None, train, val, test, tuple(FIGURES))


def _draw_split(rng: np.random.Generator, count: int) -> Split:
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(FIGURES))
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for label, figure in enumerate(FIGURES.values()):
        where = np.flatnonzero(labels == label)
        images[where] = _draw(rng, figure, label / len(FIGURES), len(where))
    return Split(images, labels)


def _draw(rng: np.random.Generator, figure: Figure, hue: float, count: int) -> NDArray[np.uint8]:
    """Draw one figure `count` times: background, figure, specks, a bar across some, noise."""
    images = _background(rng, count)
    x, y = _turned(rng, count, SHIFT_PIXELS, TILT_RADIANS)
    mirror = rng.choice(np.array([-1, 1], np.float32), (count, 1, 1))
    radius = _uniform(rng, *RADIUS_PIXELS, count)
    hues = hue + HUE_SPREAD * rng.standard_normal((count, 1, 1, 1), np.float32)
    _paint(images, _vivid(rng, hues), -radius * figure(mirror * x / radius, y / radius))
    for _ in range(SPECKS):
        x, y = _turned(rng, count, SIDE / 2, 0)
        _paint(images, _any_colour(rng, count), _uniform(rng, 1, 2.5, count) - np.hypot(x, y))
    x, y = _turned(rng, count, SIDE / 2, np.pi)
    half_width = np.where(_uniform(rng, 0, 1, count) < BAR_SHARE, np.float32(2), np.float32(-SIDE))
    _paint(images, _any_colour(rng, count), half_width - np.abs(x))
    noise = rng.integers(-NOISE_LEVELS, NOISE_LEVELS, images.shape, np.int8, endpoint=True)
    return np.clip(255 * images + noise, 0, 255).astype(np.uint8)


def _uniform(rng: np.random.Generator, low: float, high: float, count: int) -> Floats:
    """One number per image, (N,1,1)."""
    return low + (high - low) * rng.random((count, 1, 1), np.float32)


def _any_colour(rng: np.random.Generator, count: int) -> Floats:
    """One colour per image, (N,1,1,3)."""
    return rng.random((count, 1, 1, 3), np.float32)


def _vivid(rng: np.random.Generator, hues: Floats) -> Floats:
    """Saturated colours (N,1,1,3) of the hues (N,1,1,1), where 1 is once around the wheel."""
    wheel = 0.5 + 0.5 * np.cos(2 * np.pi * (hues - np.array([0, 1 / 3, 2 / 3], np.float32)))
    return wheel * _uniform(rng, 0.55, 1, len(hues))[..., None]


def _turned(
    rng: np.random.Generator, count: int, shift: float, tilt: float
) -> tuple[Floats, Floats]:
    """Pixel coordinates (N,32,32) around a random centre, turned by a random angle."""
    line = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    x = line - _uniform(rng, -shift, shift, count)
    y = line[:, None] - _uniform(rng, -shift, shift, count)
    angle = _uniform(rng, -tilt, tilt, count)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _paint(images: Floats, colour: Floats, depth: Floats) -> None:
    """Blend a colour in where `depth`, in pixels inside the edge, is positive; soft at the edge."""
    cover = np.clip(depth + 0.5, 0, 1)[..., None]
    images += cover * (colour - images)


def _background(rng: np.random.Generator, count: int) -> Floats:
    """One colour per image with a smooth 4x4 pattern over it, (N,32,32,3) from 0 to 1."""
    at = np.linspace(0, 3, SIDE, dtype=np.float32)
    blend = np.clip(1 - np.abs(at[:, None] - np.arange(4, dtype=np.float32)), 0, 1)
    coarse = rng.random((count, 4, 4, 3), np.float32)
    smooth = np.einsum("yi,xj,nijc->nyxc", blend, blend, coarse, optimize=True)
    return np.ascontiguousarray((1 - CLUTTER) * _any_colour(rng, count) + CLUTTER * smooth)
