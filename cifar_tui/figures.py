"""The style that all figures share, drawn with matplotlib and without a display."""

from collections.abc import Callable, Sequence
from typing import Any

from cifar_tui.errors import UserError

FORMATS = ("png", "svg")
SIZE_INCHES = (9.0, 3.4)
DOTS_PER_INCH = 150


def require_matplotlib() -> None:
    """Raise UserError saying how to get matplotlib where it is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError(
            "Figures need matplotlib, which is not installed: "
            "`pip install 'cifar-tui[report]'` gets it."
        ) from None


def draw_figure(
    name: str, paint: Callable[[Any, Any], None], files: Sequence[Any], *, synthetic: bool
) -> None:
    """Save a figure of two plots side by side, which `paint` fills, to each (file, format).

    The same figure gives the same bytes; one of synthetic images says so.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": name, "font.size": 9}):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        paint(*figure.subplots(1, 2))
        if synthetic:
            figure.suptitle("synthetic demo images")
        for file, kind in files:
            when = {"Date": None} if kind == "svg" else None
            figure.savefig(file, format=kind, dpi=DOTS_PER_INCH, metadata=when)


def curve(axes: Any, label: str, epochs: Sequence[int], values: Sequence[Any], **style: Any) -> Any:
    """One line over epochs, a dot where there is but one; returns matplotlib's line."""
    marker = "o" if len(epochs) == 1 else ""
    (line,) = axes.plot(epochs, values, label=label, marker=marker, **style)
    return line


def finish(axes: Any, x: str, y: str) -> None:
    """Name the axes and give them the same grid and legend everywhere."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)
