"""What the weights of a checkpoint look like: their spread, and how many are zero or nearly."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cifar_tui.drawing import beside, bins_for, histogram
from cifar_tui.errors import UserError
from cifar_tui.models.torch_file import read_best
from cifar_tui.table import Column, Table, figures

WHOLE = "whole net"
SMALL = 1e-3
"""Below this magnitude a weight counts as near zero."""
LAYER_SUFFIX = ".weight"
Values = NDArray[np.float32]


@dataclass(frozen=True)
class WeightShares:
    """Fractions of weights with |w| < 1e-3, and of those that are exactly 0."""

    below: float
    zero: float


@dataclass(frozen=True)
class LayerWeights:
    """The weights of one convolution or fully connected layer, or of all of them, without biases.

    `std` is that of these values, `largest` the largest magnitude.
    """

    name: str
    shape: tuple[int, ...]
    count: int
    mean: float
    std: float
    largest: float
    shares: WeightShares

    def to_dict(self) -> dict[str, Any]:
        found = asdict(self)
        return found | found.pop("shares")


class Weights:
    """The weights of one checkpoint by layer, `whole net` first."""

    def __init__(self, layers: Mapping[str, Tensor]) -> None:
        shapes = {name: tuple(weight.shape) for name, weight in layers.items()}
        self._values = {n: w.detach().float().flatten().numpy() for n, w in layers.items()}
        self._values = {WHOLE: np.concatenate(list(self._values.values())), **self._values}
        self.layers = tuple(
            _described(name, shapes.get(name, ()), values) for name, values in self._values.items()
        )

    def layer(self, name: str) -> LayerWeights | None:
        """One layer's figures, or None where this net has no such layer."""
        return next((layer for layer in self.layers if layer.name == name), None)

    def histogram(self, name: str, limit: float, bins: int) -> list[int]:
        """Counts in `bins` equal bins from -limit to limit; an odd number has one around 0."""
        counts, _ = np.histogram(self._values[name], bins=bins, range=(-limit, limit))
        return counts.tolist()

    def to_dicts(self, limits: Mapping[str, float], bins: int) -> list[dict[str, Any]]:
        """Every layer for programs, its histogram between minus and plus its limit."""
        return [
            layer.to_dict()
            | {"limit": limits[layer.name]}
            | {"histogram": self.histogram(layer.name, limits[layer.name], bins)}
            for layer in self.layers
        ]


def read_weights(path: Path) -> Weights:
    """The convolution and linear weights in a checkpoint file; raises UserError."""
    content = read_best(path)
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise UserError(f"{path} is not one of this program's checkpoints.")
    layers = {
        name.removesuffix(LAYER_SUFFIX): weight
        for name, weight in weights.items()
        if isinstance(name, str) and name.endswith(LAYER_SUFFIX) and _is_layer(weight)
    }
    if not layers:
        raise UserError(f"{path} holds no weights of convolutions or linear layers.")
    if not all(bool(weight.float().isfinite().all()) for weight in layers.values()):
        raise UserError(f"{path} holds weights that are not finite.")
    return Weights(layers)


def common_limit(found: Sequence[Weights], name: str) -> float:
    """The largest magnitude in a layer of several nets, for histograms on one scale."""
    layers = [layer for weights in found if (layer := weights.layer(name)) is not None]
    return max([SMALL, *(layer.largest for layer in layers)])


def shares(path: Path) -> WeightShares:
    """Shares over all convolution and linear weights of a checkpoint file; raises UserError."""
    return read_weights(path).layers[0].shares


COLUMNS = ("mean", "std", "<0.001", "=0")
"""What a table says of a layer; mean and std in the weights' own unit, shares as fractions."""


def layer_names(found: Sequence[Weights]) -> list[str]:
    """The layers of all these nets, `whole net` first."""
    return list(dict.fromkeys(layer.name for weights in found for layer in weights.layers))


def cells(layer: LayerWeights | None) -> tuple[str, ...]:
    """The columns COLUMNS as text, of equal width; empty for a net without this layer."""
    if layer is None:
        return ("",) * len(COLUMNS)
    shares = layer.shares
    return f"{layer.mean:+.4f}", f"{layer.std:.4f}", f"{shares.below:.4f}", f"{shares.zero:.4f}"


def layer_table(titles: Sequence[str], found: Sequence[Weights], shown: slice) -> Table:
    """A row per layer: its name and size, and these of COLUMNS for each net."""
    letters = [title[0] for title in titles] if len(found) > 1 else [""]
    names = [f"{column} {letter}".strip() for letter in letters for column in COLUMNS[shown]]
    columns = [Column("layer", 20), *figures("weights", width=9), *figures(*names, width=10)]
    rows = []
    for name in layer_names(found):
        layers = [weights.layer(name) for weights in found]
        counts = dict.fromkeys(f"{one.count:,}" for one in layers if one is not None)
        rows.append((name, "/".join(counts), *(c for one in layers for c in cells(one)[shown])))
    return Table(columns, rows)


def pictures(
    titles: Sequence[str], found: Sequence[Weights], name: str, width: int, height: int
) -> list[str]:
    """Histograms of one layer of several nets side by side, on the same axes, in lines of text."""
    each = width // len(found)
    bins, limit = bins_for(each), common_limit(found, name)
    counts = [w.histogram(name, limit, bins) if w.layer(name) else [0] * bins for w in found]
    most = max(map(max, counts))
    blocks = [
        [title[: each - 1], *histogram(one, limit, height, most)]
        for title, one in zip(titles, counts, strict=True)
    ]
    return beside(blocks, each)


def _is_layer(weight: Any) -> bool:
    """Whether it is a tensor with filters or neurons in its first dimension."""
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        return False
    return weight.dim() >= 2 and weight.numel() > 0


def _described(name: str, shape: tuple[int, ...], values: Values) -> LayerWeights:
    size = np.abs(values)
    return LayerWeights(
        name=name,
        shape=shape,
        count=len(values),
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        largest=float(size.max()),
        shares=WeightShares(below=float((size < SMALL).mean()), zero=float((values == 0).mean())),
    )
