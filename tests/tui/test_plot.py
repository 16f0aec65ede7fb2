"""Curves in the terminal: limits, gaps, remarks, legend and the cursor."""

import itertools
import math
from collections.abc import Sequence

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from cifar_tui.tui.plot import Curve, Curves, PlotView, mark
from tests.waiting import screen_strips, screen_text


class PlotApp(App[None]):
    """Nothing but a plot."""

    def compose(self) -> ComposeResult:
        """The plot fills the screen."""
        yield Curves()


async def drawn(
    pilot: Pilot[None], curves: Sequence[Curve], title: str = "loss", view: PlotView | None = None
) -> list[str]:
    """The lines of the screen with these curves; the first is the legend."""
    await pilot.pause()
    pilot.app.query_one(Curves).show(curves, title, view)
    await pilot.pause()
    return screen_text(pilot.app).splitlines()


def falling(label: str = "a", last: int = 30) -> Curve:
    return Curve(label, [(x, 3.0 / x) for x in range(1, last + 1)])


def test_what_is_not_positive_is_a_gap_on_a_log_axis() -> None:
    curve = Curve("x", [(1, 10.0), (2, 0.0), (3, 100.0), (4, -1.0)], [(1, 0.0, 10.0)])
    assert curve.segments(log=True) == [[(1, 1.0)], [(3, 2.0)]]
    assert curve.edges(log=True) == [[], [(1, 1.0)]]
    assert len(curve.segments()) == 1


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(1.0, 0.5)],
        [(1.0, None)],
        [(1.0, math.nan), (2.0, math.inf), (3.0, 0.1)],
        [(x, 0.25) for x in range(300)],
        [(1.0, 1e38), (2.0, -1e38)],
        [(1.0, 1e-30)],
    ],
)
@pytest.mark.parametrize("log", [False, True])
async def test_any_points_are_drawn_or_left_out(
    points: list[tuple[float, float | None]], log: bool
) -> None:
    curve = Curve("odd", points, [(x, y, y) for x, y in points if y is not None][:1])
    async with PlotApp().run_test(size=(40, 12)) as pilot:
        lines = await drawn(pilot, [curve, curve], view=PlotView(log=log))
        assert lines[0].startswith("loss  o odd  x odd")
        whole = [y for _, y in points if y is not None and math.isfinite(y) and (y > 0 or not log)]
        assert ("x" in "".join(lines[1:])) == bool(whole)


async def test_y_fits_what_is_in_sight() -> None:
    async with PlotApp().run_test(size=(60, 14)) as pilot:
        assert (await drawn(pilot, [falling()]))[1].startswith("3┤")
        near = await drawn(pilot, [falling()], view=PlotView(sight=(20.0, 30.0)))
        ticks = [float(line.split("┤")[0]) for line in near if "┤" in line]
        assert 0.1 <= min(ticks) < max(ticks) <= 0.15
        assert near[-1].split()[0] == "20" and near[-1].split()[-1] == "30"


async def test_a_log_axis_has_round_ticks() -> None:
    async with PlotApp().run_test(size=(60, 20)) as pilot:
        lines = await drawn(pilot, [falling()], view=PlotView(log=True))
        ticks = [line.split("┤")[0].strip() for line in lines if "┤" in line]
        assert {"1", "0.1"} <= set(ticks)


async def test_where_a_curve_breaks_is_written_beside_its_end() -> None:
    broken = Curve("b", [(1, 2.0), (2, 1.9), (3, None)], remark=(3, "diverged at 3"))
    at_once = Curve("c", [(1, None)], remark=(1, "diverged at 1"))
    async with PlotApp().run_test(size=(60, 14)) as pilot:
        lines = await drawn(pilot, [falling(), broken, at_once])
        assert sum("x diverged at 3" in line for line in lines) == 1
        assert sum("+ diverged at 1" in line for line in lines) == 1
        only = await drawn(pilot, [at_once])
        assert "o diverged at 1" in only[1], "also where there is nothing to draw"


async def test_remarks_at_one_place_do_not_cover_each_other() -> None:
    curves = [Curve(f"{i}", [(1, 2.0), (2, None)], remark=(2, "diverged at 2")) for i in range(4)]
    async with PlotApp().run_test(size=(60, 14)) as pilot:
        text = "\n".join(await drawn(pilot, [falling(), *curves]))
        assert all(f"{mark(i)} diverged at 2" in text for i in range(1, 5))


async def test_the_legend_of_many_curves_is_cut_and_says_so() -> None:
    curves = [falling(f"lr 0.{i:02d} momentum") for i in range(12)]
    async with PlotApp().run_test(size=(80, 11)) as pilot:
        legend = (await drawn(pilot, curves))[0].rstrip()
        shown = legend.count("lr 0.")
        assert 4 <= shown < 12
        assert legend.endswith(f"+{12 - shown}")
        assert len({part.strip() for part in legend.split("lr")}) == shown + 1
        hidden = [Curve(c.label, c.points, hidden=i > 1) for i, c in enumerate(curves)]
        legend = (await drawn(pilot, hidden))[0].rstrip()
        assert legend == "loss  o lr 0.00 momentum  x lr 0.01 momentum"


async def test_the_cursor_stands_over_the_marks_without_drawing_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plots = []
    plot = Curves._plot
    monkeypatch.setattr(Curves, "_plot", lambda *a: plots.append(1) or plot(*a))
    curve = Curve("a", [(1, 1.0), (2, None), (7, 2.0), (8, None), (30, 1.0)])
    async with PlotApp().run_test(size=(57, 14)) as pilot:
        before = await drawn(pilot, [curve])
        peak = next(line.index("o") for line in before[1:6] if "o" in line)
        widget, count = pilot.app.query_one(Curves), len(plots)
        for x in (1.0, 30.0, 7.0):
            widget.point_at(x)
            await pilot.pause()
        lines = screen_text(pilot.app).splitlines()
        assert [lines[0], lines[-1]] == [before[0], before[-1]]
        changed = [(y, x) for y in range(14) for x in range(57) if lines[y][x] != before[y][x]]
        assert {x for _, x in changed} == {peak}
        assert [lines[y][x] for y, x in changed] == ["│", "│", "│", "^"]
        assert changed[-1][0] == 12, "the x axis"
        widget.point_at(None)
        await pilot.pause()
        assert screen_text(pilot.app).splitlines() == before
        widget.point_at(99.0)
        await pilot.pause()
        assert screen_text(pilot.app).splitlines() == before, "out of sight"
        assert len(plots) == count


@pytest.mark.parametrize("y", [0.08, 0.14, 0.2, 0.37, 0.5, 0.66, 0.81, 0.97])
async def test_marks_lie_on_their_lines(y: float) -> None:
    frame = Curve("0 to 1", [(1, 0.0), (2, 1.0)])
    level = Curve("level", [(x, y) for x in range(3, 40)])
    async with PlotApp().run_test(size=(80, 14)) as pilot:
        lines = await drawn(pilot, [frame, level])
        rows = {i for i, line in enumerate(lines[1:]) if any("⠀" < c <= "⣿" for c in line[20:])}
        marks = {i for i, line in enumerate(lines[1:]) if "x" in line[20:]}
        assert marks == rows and len(rows) == 1


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
async def test_six_curves_have_six_colours(theme: str) -> None:
    app = PlotApp()
    async with app.run_test(size=(120, 14)) as pilot:
        app.theme = theme
        await drawn(pilot, [falling(f"curve {i}", 30 + i) for i in range(6)])
        strip = screen_strips(app)[0]
        seen = {}
        for segment in strip:
            if segment.text.strip().endswith(tuple("012345")) and segment.style:
                assert segment.style.color and segment.style.color.triplet
                seen[segment.text.strip()[-1]] = segment.style.color.triplet
        assert len(seen) == 6
        for a, b in itertools.combinations(seen.values(), 2):
            assert max(abs(x - y) for x, y in zip(a, b, strict=True)) > 40


@pytest.mark.parametrize(("height", "whole"), [(11, 1), (12, 3), (18, 3), (24, 12)])
async def test_a_high_plot_has_a_legend_of_several_lines(height: int, whole: int) -> None:
    names = [f"lr 0.{i:02d}" + " momentum 0.9" * (i > 2) for i in range(12)]
    async with PlotApp().run_test(size=(80, height)) as pilot:
        lines = await drawn(pilot, [falling(name) for name in names])
        legend = "\n".join(lines[: height // 6])
        assert sum(f"{name} " in legend for name in names) >= whole
        assert ("…" in legend) == (whole < 12)
        assert lines[-1].replace(" ", "").isdigit(), "the numbers of the axis come last"


async def test_labels_are_not_cut_to_the_same() -> None:
    names = [f"momentum {m} lr {lr} demo" for m in ("0.9", "0.5") for lr in ("0.1", "0.2")]
    async with PlotApp().run_test(size=(80, 11)) as pilot:
        legend = (await drawn(pilot, [falling(name) for name in names]))[0]
        assert "o momentum 0.9 lr 0.1…  x momentum 0.9 lr 0.2…" in legend


@pytest.mark.parametrize(
    ("ys", "least", "most"), [((0.02, 0.5), 0, 1), ((0.6, 0.99), 0, 1), ((0.1, 2.4), 0, 3)]
)
async def test_no_axis_goes_below_0_or_a_share_above_1_and_its_ticks_are_round(
    ys: tuple[float, float], least: float, most: float
) -> None:
    async with PlotApp().run_test(size=(60, 14)) as pilot:
        lines = await drawn(pilot, [Curve("a", list(enumerate(ys, 1)))])
        ticks = [float(line.split("┤")[0]) for line in lines if "┤" in line]
        assert len(ticks) > 1
        assert all(least <= tick <= most for tick in ticks)
        steps = {round(a - b, 9) for a, b in itertools.pairwise(ticks)}
        assert len(steps) == 1
        assert f"{steps.pop():.0e}"[0] in "125"


async def test_a_plot_is_as_large_as_its_widget_whatever_the_terminal_says() -> None:
    async with PlotApp().run_test(size=(200, 60)) as pilot:
        lines = await drawn(pilot, [falling()])
        assert max(len(line.rstrip()) for line in lines) > 190
        assert len([line for line in lines if line.strip()]) == 60
