"""Pictures in a terminal show the image's own pixels, two to a cell."""

import io

import pytest
from rich.console import Console

from cifar_tui.drawing import gallery, picture, shows_colours, sparkline

RED, BLUE = (255, 0, 0), (0, 0, 255)


def image(above: tuple[int, int, int], below: tuple[int, int, int]) -> bytes:
    """32x32 pixels, odd rows in another colour than even ones."""
    return (bytes(above) * 32 + bytes(below) * 32) * 16


def test_a_cell_has_the_upper_pixel_before_the_lower_one() -> None:
    pixels = bytearray(image(RED, BLUE))
    pixels[3 * 31 : 3 * 32] = bytes((1, 2, 3))  # the last pixel of the first row
    lines = picture(bytes(pixels), colours=True)
    assert [sum(segment.cell_length for segment in line) for line in lines] == [32] * 16
    first, last = lines[0]
    assert first.text == "▀" * 31
    assert first.style is not None and last.style is not None
    assert first.style.color is not None and first.style.bgcolor is not None
    assert tuple(first.style.color.get_truecolor()) == RED
    assert tuple(first.style.bgcolor.get_truecolor()) == BLUE
    assert last.style.color is not None
    assert tuple(last.style.color.get_truecolor()) == (1, 2, 3)


def test_without_colours_light_is_a_denser_character() -> None:
    texts = [
        picture(image(c, c), colours=False)[0][0].text
        for c in ((0, 0, 0), (128, 128, 128), (255, 255, 255))
    ]
    assert texts == [" " * 32, "+" * 32, "@" * 32]


def test_a_shrunk_picture_has_the_mean_of_its_pixels() -> None:
    lines = picture(image((100, 0, 0), (200, 0, 0)), colours=True, shrink=2)
    assert [sum(segment.cell_length for segment in line) for line in lines] == [16] * 8
    style = lines[0][0].style
    assert style is not None and style.color is not None
    assert tuple(style.color.get_truecolor()) == (150, 0, 0)


def test_pictures_stand_side_by_side_over_their_captions() -> None:
    drawn = [picture(image(RED, BLUE), colours=True)] * 2
    lines = gallery(drawn, ["one", "two"], 40)
    assert ["".join(s.text for s in line) for line in lines][-2:] == [
        ("▀" * 32 + " " * 8) * 2,
        f"{'one':<40}{'two':<40}",
    ]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"color_system": "truecolor"}, True),
        ({"color_system": "256"}, True),
        ({"color_system": "standard"}, False),
        ({"color_system": None}, False),
        ({"color_system": "truecolor", "no_color": True}, False),
    ],
)
def test_terminals_without_colours_get_characters(options: dict, shown: bool) -> None:  # type: ignore[type-arg]
    console = Console(file=io.StringIO(), force_terminal=True, **options)
    assert shows_colours(console) is shown


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([0.1, 0.5, 0.9], "▁▅█"),
        ([0.1, None, 0.9], "▁ █"),
        ([0.101, 0.1, 0.102], "▁▁▁"),
        ([0.1] * 8 + [0.9] * 8, "▁▁██"),
        ([None], " "),
        ([], ""),
    ],
)
def test_a_sparkline_has_a_bar_for_each_stretch(values: list[float | None], line: str) -> None:
    assert sparkline(values, 4) == line
