"""A kept slice of a loss surface is read back only while it is whole and still true."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.style import Style

from cifar_tui.errors import UserError
from cifar_tui.features.surface.core import (
    CENTRE,
    FILE,
    Slice,
    Surface,
    kept_surface,
    make_slice,
    shade_legend,
    shaded,
    slice_pictures,
)
from cifar_tui.files import fingerprint
from cifar_tui.runs.derived import write_derived
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import Summary

BOWL = ((1.0, 0.7, 1.4), (0.7, 0.1, 0.6), (9.0, 0.5, None))
WANTED = Slice(size=3)


def surface(weights: str = "x") -> Surface:
    return Surface(
        slice=WANTED, weights=weights, epoch=3, source="demo", centre=0.1, seconds=1, losses=BOWL
    )


def as_run(path: Path) -> Run:
    return Run(path, Summary(id=path.name))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "best.pt").write_bytes(b"weights")
    write_derived(tmp_path / FILE, surface(fingerprint(tmp_path / "best.pt")))
    return tmp_path


def test_it_is_read_back_whole(run: Path) -> None:
    found = kept_surface(as_run(run), WANTED)
    assert found is not None
    assert found.losses == BOWL
    assert (found.lowest, found.highest) == (0.1, 9.0)
    assert found.flat == pytest.approx(3 / 9)


def test_other_weights_or_another_slice_are_computed_anew(run: Path) -> None:
    assert kept_surface(as_run(run), Slice(size=3, seed=1)) is None
    (run / "best.pt").write_bytes(b"better weights")
    assert kept_surface(as_run(run), WANTED) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: b"",
        lambda kept: b"[1]",
        lambda kept: json.dumps(kept | {"losses": [[1.0]]}).encode(),
        lambda kept: json.dumps(kept | {"losses": [["a"] * 3] * 3}).encode(),
        lambda kept: json.dumps(kept | {"slice": {"size": 10**9}}).encode(),
        lambda kept: json.dumps({k: v for k, v in kept.items() if k != "centre"}).encode(),
        lambda kept: json.dumps(kept)[:-40].encode(),
    ],
)
def test_a_damaged_file_is_as_good_as_none(run: Path, damage) -> None:  # type: ignore[no-untyped-def]
    kept = json.loads((run / FILE).read_bytes())
    (run / FILE).write_bytes(damage(kept))
    assert kept_surface(as_run(run), WANTED) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"size": 2}, "size must be greater than or equal to 3; got 2."),
        ({"radius": 0}, "radius must be greater than 0"),
        ({"images": 10**9}, "images must be less than or equal to 50000"),
        ({"radius": float("nan")}, "radius must be a finite number"),
    ],
)
def test_a_wrong_slice_is_one_sentence(values: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make_slice(**values)


def test_the_valley_is_light_and_what_is_no_number_dark() -> None:
    lines = shaded(BOWL, 0.1, 9.0, 21, 11)
    assert [len(line) for line in lines] == [21] * 11
    assert lines[5][10] == CENTRE
    assert lines[5][9] == " "
    assert lines[0][-1] == "@"  # up is the last row, right the last column
    assert lines[-1][0] in "=+"


def test_slices_stand_side_by_side_on_one_scale() -> None:
    flat = surface().model_copy(update={"losses": ((0.1,) * 3,) * 3})
    drawn = list(map(str, slice_pictures(["a", "b"], [surface(), flat], 40, 8)))
    assert drawn[0].split() == ["a", "b"]
    assert "%" in "".join(line[:20] for line in drawn)
    assert {line[20:].strip() for line in drawn[1:]} == {"", CENTRE}


def test_in_colours_each_half_of_a_cell_has_its_own(run: Path) -> None:
    (title, *lines) = slice_pictures(["a"], [surface()], 22, 11, colours=True)
    assert title.plain.strip() == "a"
    assert [len(line) for line in lines] == [21] * 11
    assert lines[5].plain[10] == CENTRE
    assert set("".join(line.plain for line in lines)) == {"▀", CENTRE}
    valley, peak = lines[5].get_style_at_offset(Console(), 9), lines[0].spans[-1].style
    assert isinstance(peak, Style) and peak.color and valley.color
    assert sum(peak.color.get_truecolor()) > sum(valley.color.get_truecolor())
    legend = shade_legend([surface()], colours=True)
    assert legend.plain.startswith("loss from  0.1  0.16 ")
    shown = {span.style.bgcolor for span in legend.spans if isinstance(span.style, Style)}
    assert {peak.color, valley.color} <= shown
