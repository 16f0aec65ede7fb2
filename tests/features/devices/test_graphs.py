"""How busy a machine was, as it is drawn."""

import pytest

from cifar_tui.features.devices.graphs import STEP, Past, history_lines


def past(*uses: float | None, every: float = STEP, label: str = "cpu") -> Past:
    """Readings at the ends of as many steps."""
    return [((i + 1) * every - 0.1, {label: use}) for i, use in enumerate((0.0, *uses, 0.0))]


def drawn(readings: Past, width: int = 15, height: int = 1) -> list[str]:
    return [str(line) for line in history_lines(readings, width, height)]


def test_one_line_has_a_column_for_each_whole_step() -> None:
    (line,) = drawn(past(0.0, 0.5, 1.0))
    assert line == "cpu         ▁▄█"


def test_the_step_under_way_does_not_move_the_line() -> None:
    whole = past(0.25, 0.5)
    begun = [*whole, (whole[-1][0] + 0.2, {"cpu": 0.9})]
    later = [*begun, (whole[-1][0] + 2.0, {"cpu": 0.1})]
    assert drawn(begun) == drawn(later)


def test_what_is_not_known_is_blank_and_nothing_is_a_thin_line() -> None:
    (line,) = drawn(past(1.0, None, 0.0, every=STEP))
    assert line.endswith("█ ▁")


def test_no_reading_stands_for_long() -> None:
    readings: Past = [(0.0, {"cpu": 1.0}), (300.0, {"cpu": 1.0}), (306.0, {"cpu": 1.0})]
    (line,) = drawn(readings, width=65)
    assert line.count("█") < 5


@pytest.mark.parametrize("height", [4, 9])
def test_a_graph_has_its_scale(height: int) -> None:
    lines = drawn(past(*[1.0] * 60), 30, height)
    assert len(lines) == min(height, 9)
    assert lines[0].strip() == "cpu, last 2 min"
    assert lines[1].startswith("100%▕█") and lines[-1].startswith("  0%▕█")


def test_many_devices_have_a_line_each_and_few_a_graph_each() -> None:
    labels = [*(f"gpu {i}" for i in range(8)), "cpu", "memory"]
    readings: Past = [(float(i), dict.fromkeys(labels, 0.5)) for i in range(60)]
    lines = drawn(readings, 80, 12)
    assert [line[:5] for line in lines] == [*(f"gpu {i}" for i in range(8)), "cpu  "]
    assert "gpu 7, last" in "".join(drawn(readings, 80, 40))
    assert max(map(len, drawn(readings, 80, 40))) <= 80
    assert drawn([], 80, 12) == []
