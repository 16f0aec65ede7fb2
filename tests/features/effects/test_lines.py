"""Drawing runs as lines over axes, and as strips of dots."""

from cifar_tui.drawing import Dots, solid, strip, strip_scale
from cifar_tui.features.effects.lines import (
    Axis,
    Cell,
    Plot,
    axes_of,
    best_first,
    most_axes,
    runs_of,
)
from cifar_tui.features.effects.study import Study
from tests.features.effects.test_study import grid, make_run, only


def text(rows: list[list[Cell]]) -> list[str]:
    return ["".join(cell.text for cell in row) for row in rows]


def study() -> Study:
    runs = grid(
        lambda lr, batch_norm: 0.5 + lr + 0.1 * batch_norm,
        2,
        lr=(0.01, 0.1),
        batch_norm=(False, True),
    )
    return only(runs)


def axis(name: str) -> Axis:
    return next(axis for axis in axes_of(study()) if axis.name == name)


def plot(width: int = 60, height: int = 14) -> Plot:
    order = best_first(study())
    return Plot(axes_of(study()), order, frozenset(order[:2]), width, height)


def test_values_stand_in_their_order_with_the_better_runs_above() -> None:
    lr = axis("lr")
    assert [text for _, text in lr.ticks] == ["0.01", "0.1"]
    assert lr.part_texts == ("0.01", "0.1")
    high = [place for place, part in zip(lr.places, lr.parts, strict=True) if part == 1]
    low = [place for place, part in zip(lr.places, lr.parts, strict=True) if part == 0]
    assert min(high) > 0.5 > max(low)
    best, *_, worst = best_first(study())
    assert lr.places[best] == max(lr.places)
    assert lr.places[worst] == min(lr.places)


def test_many_values_stand_on_a_scale_and_fall_into_ranges() -> None:
    runs = [make_run(0.5 + i / 100, lr=10 ** (i / 5 - 3), seed=i) for i in range(16)]
    lr, figure = axes_of(only(runs))
    steps = [b - a for a, b in zip(lr.places, lr.places[1:], strict=False)]
    assert max(steps) - min(steps) < 1e-9
    assert [text for _, text in lr.ticks] == ["1", "0.001"]
    assert set(lr.parts) == {0, 1, 2, 3}
    assert figure.texts[0] == "0.5000"


def test_a_setting_without_effect_stands_at_the_foot() -> None:
    runs = [
        make_run(
            0.5 + i / 100,
            model="resnet" if i % 2 else "simplenn",
            depth=20 + 6 * (i % 3) * 2,
            seed=i,
        )
        for i in range(12)
    ]
    depth = next(axis for axis in axes_of(only(runs)) if axis.name == "depth")
    assert depth.texts[0] == "-"
    assert max(depth.places[::2]) < min(depth.places[1::2])


def test_the_chosen_run_is_drawn_over_the_others_with_its_values() -> None:
    drawn = plot()
    rows = drawn.over(drawn.background(), drawn.shown[0], 0)
    assert len(rows) == drawn.height
    assert {len(row) for row in rows} == {drawn.width}
    told = [part for row in rows for part, ink in runs_of(row) if ink == "value"]
    assert sorted(told) == ["0.1", "0.7000", "yes"]
    assert any(cell.ink == "chosen" for row in rows for cell in row)
    assert text(rows)[-2:][0].startswith("batch_norm")
    worst = drawn.over(drawn.background(), drawn.shown[-1], 0)
    told = [part for row in worst for part, ink in runs_of(row) if ink == "value"]
    assert sorted(told) == ["0.01", "0.5100", "no"]


def test_nine_axes_and_long_names_fit_80_columns() -> None:
    assert most_axes(80, 6) == 10
    axes = [Axis(f"decay_factor{i}", (0.5,), ("0.1",), (), (0,), ("0.1",)) for i in range(10)]
    rows = text(Plot(axes, [0], frozenset([0]), 80, 12).over([[Cell()] * 80] * 10, 0, 0))
    assert {len(row) for row in rows} == {80}
    assert "decay_factor0 " in rows[-2] and "decay_factor1 " in rows[-1]


def test_where_lines_are_too_many_the_bundles_are_left() -> None:
    dots = Dots(20, 10)
    for y in range(40):
        dots.path([(0, y), (39, y)])
    for _ in range(5):
        dots.path([(0, 20), (39, 20)])
    assert {y for _, y, _ in dots.cells(0.1)} == {5}
    assert len(list(dots.cells())) == 200


def test_a_solid_line_has_no_gaps() -> None:
    cells = {(x, y) for x, y, _ in solid([(0, 0), (4, 9), (8, 9)])}
    assert {x for x, _ in cells} == {1, 2, 3, 5, 6, 7}
    for x in (1, 2, 3):
        ys = [y for column, y in cells if column == x]
        assert max(ys) - min(ys) + 1 == len(ys)


def test_a_strip_has_dots_a_mean_and_its_interval() -> None:
    assert strip([0.0, 1.0, 1.0], None, None, 0.0, 1.0, 11) == ".         :"
    assert strip([0.0, 1.0], 0.5, 0.2, 0.0, 1.0, 11) == ".  ( | )  ."
    assert strip([0.5], 0.5, 9.0, 0.0, 1.0, 11) == "(    |    )"
    assert strip([0.5, 0.5], 0.5, None, 0.5, 0.5, 3) == " | "
    assert strip_scale("0.10", "0.90", 20) == "0.10 ────────── 0.90"
