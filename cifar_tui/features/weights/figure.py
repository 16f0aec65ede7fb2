"""Histograms of weights as a figure for a report."""

from collections.abc import Sequence
from typing import Any

from cifar_tui.features.save.core import draw_figure, finish
from cifar_tui.features.weights.compute import WHOLE, Weights, common_limit

BINS = 101


def draw_histograms(
    titles: Sequence[str],
    found: Sequence[Weights],
    files: Sequence[Any],
    *,
    synthetic: bool,
    layer: str = WHOLE,
) -> None:
    """Draw the histogram of this layer of each net, on the same axes, to each (file, format)."""
    limit = common_limit(found, layer)
    edges = [-limit + 2 * limit * place / BINS for place in range(BINS + 1)]
    counts = [w.histogram(layer, limit, BINS) if w.layer(layer) else [0] * BINS for w in found]
    most = max(map(max, counts))

    def paint(*plots: Any) -> None:
        for axes, title, some, weights in zip(plots, titles, counts, found, strict=True):
            axes.stairs(some, edges, fill=True)
            axes.set_yscale("log")
            axes.set_ylim(0.8, 2 * most)
            figures = weights.layer(layer)
            share = "" if figures is None else f", {figures.shares.below:.1%} below 1e-3"
            axes.set_title(f"{title}{share}", fontsize=9)
            finish(axes, f"weight ({layer})", "weights")

    name = f"{layer} {' '.join(titles)}"
    draw_figure(name, paint, files, synthetic=synthetic, plots=len(found))
