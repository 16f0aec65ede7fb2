"""Terminal screens as SVG pictures, still or moving, that need no particular font."""

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.app import App

WIDTH, HEIGHT, FONT_SIZE = 8, 17, 13.2
"""Of a cell, and of its text, in the picture's units."""
BAR, MARGIN = 30, 10
"""Height of the title bar, and space around the screen."""
FONTS = "ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace"
LINES = {"─": "we", "━": "we", "│": "ns", "┃": "ns", "┼": "nesw", "┌": "es", "┐": "sw"}
LINES |= {"└": "ne", "┘": "nw", "├": "nes", "┤": "nsw", "┬": "esw", "┴": "new"}
"""To which sides of its cell a line goes."""
ENDS = {"n": (WIDTH / 2, 0), "e": (WIDTH, HEIGHT / 2), "s": (WIDTH / 2, HEIGHT)}
ENDS["w"] = (0, HEIGHT / 2)
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each of a Braille character's dots, from its lowest bit."""
PARTS = {chr(0x2580 + n): (0.0, 1 - n / 8, 1.0, n / 8) for n in range(1, 9)}
PARTS |= {chr(0x2590 - n): (0.0, 0.0, n / 8, 1.0) for n in range(1, 8)}
PARTS |= {"▀": (0.0, 0.0, 1.0, 0.5), "▐": (0.5, 0.0, 0.5, 1.0), "▔": (0.0, 0.0, 1.0, 1 / 8)}
PARTS |= {"▕": (7 / 8, 0.0, 1 / 8, 1.0)} | dict.fromkeys("░▒▓", (0.0, 0.0, 1.0, 1.0))
"""Left, top, width and height of the part of its cell that a block fills."""
SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}
WORDS = re.compile("[^ ─-▟⠀-⣿]+(?: [^ ─-▟⠀-⣿]+)*")
"""Text without two spaces in a row, and without what is drawn as a shape."""
Row = str
"""The markup of one line of the screen, at the top of the picture."""


@dataclass(frozen=True)
class Frame:
    """What a screen showed, for how many seconds it is to be seen, and what the title bar says."""

    rows: tuple[Row, ...]
    columns: int
    title: str = ""
    seconds: float = 1.0


class Picture:
    """Collects the colours of its frames and writes them as one file."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}
        self._ground = ""
        """The class of the colour behind most of the first frame."""

    def frame(self, app: App[None], title: str, seconds: float = 1.0) -> Frame:
        """The app's screen as it is, with the screens that show through a dialog."""
        width, height = app.size
        console = Console(file=io.StringIO(), width=width, height=height, color_system="truecolor")
        update = app.screen._compositor.render_update(
            full=True, screen_stack=app._background_screens
        )
        segments = [each for each in console.render(update or "") if not each.control]
        if not self._ground:
            behind = Counter(each.style.bgcolor for each in segments if each.style)
            self._ground = self._colour(behind.most_common(1)[0][0])
        rows = tuple(self._row(line) for line in Segment.split_lines(segments))
        return Frame(rows, width, title, seconds)

    def _row(self, line: list[Segment]) -> Row:
        parts: list[str] = []
        column = 0
        for behind, same in groupby(line, key=lambda each: (each.style or Style()).bgcolor):
            cells = sum(segment.cell_length for segment in same)
            paint = self._colour(behind)
            if paint != self._ground:
                parts.append(_rectangle(column, 0, cells, 1, paint))
            column += cells
        column = 0
        for style, same in groupby(line, key=lambda each: each.style or Style()):
            text = "".join(segment.text for segment in same)
            look = self._colour(style.color) or "f"
            look += " b" * bool(style.bold) + " i" * bool(style.italic)
            look += " u" * bool(style.underline)
            parts += _shapes(text, column, look)
            column += cell_len(text)
        return "".join(parts)

    def _colour(self, colour: Color | None) -> str:
        """The class of a colour; an empty one for the terminal's own."""
        if colour is None or colour.is_default:
            return ""
        name = colour.get_truecolor().hex
        return self._classes.setdefault(name, f"c{len(self._classes)}")

    def still(self, frame: Frame) -> str:
        """One frame as a picture."""
        return self._document(frame, "".join(_place(row, y) for y, row in enumerate(frame.rows)))

    def moving(self, frames: Sequence[Frame]) -> str:
        """Frames one after another, over and over; without animation the last one is seen."""
        moments = [0.0]
        for frame in frames:
            moments.append(moments[-1] + frame.seconds)
        names: dict[Row, str] = {}
        parts = []
        for y in range(len(frames[0].rows)):
            for row, first, last in _spans([frame.rows[y] for frame in frames]):
                name = names.setdefault(row, f"r{len(names)}")
                use = f'<use href="#{name}" y="{y * HEIGHT}"'
                parts.append(_during(use, "/>", moments, first, last))
        titles = []
        for title, first, last in _spans([frame.title for frame in frames]):
            text = f'<text x="{frames[0].columns * WIDTH // 2 + MARGIN}" y="20" class="t"'
            titles.append(_during(text, f">{escape(title)}</text>", moments, first, last))
        defined = "".join(f'<g id="{name}">{row}</g>' for row, name in names.items())
        last_frame = Frame(frames[-1].rows, frames[-1].columns)
        return self._document(last_frame, "".join(parts), "".join(titles), defined)

    def _document(self, frame: Frame, body: str, titles: str = "", defined: str = "") -> str:
        wide, high = frame.columns * WIDTH, len(frame.rows) * HEIGHT
        width, height = wide + 2 * MARGIN, high + BAR + MARGIN
        ground = _rectangle(0, 0, frame.columns, len(frame.rows), self._ground)
        colours = "".join(
            f".{name}{{fill:{value};color:{value}}}" for value, name in self._classes.items()
        )
        bar = titles or f'<text x="{width // 2}" y="20" class="t">{escape(frame.title)}</text>'
        lights = "".join(
            f'<circle cx="{18 + 18 * i}" cy="15" r="5.5" fill="{fill}"/>'
            for i, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}"><style>text{{font:{FONT_SIZE}px {FONTS};'
            "white-space:pre;fill:#e0e0e0}.t{fill:#a0a0a0;text-anchor:middle}"
            ".f{fill:#e0e0e0;color:#e0e0e0}"
            f".b{{font-weight:bold}}.i{{font-style:italic}}.u{{text-decoration:underline}}{colours}"
            "rect{shape-rendering:crispEdges}.w{shape-rendering:auto}"
            ".d{fill:none;stroke:currentColor;stroke-linecap:round}</style>"
            f"<defs>{defined}</defs>"
            f'<rect width="{width}" height="{height}" class="w" rx="8" fill="#1e1e1e" '
            'stroke="#444"/>'
            f'{lights}{bar}<g transform="translate({MARGIN},{BAR})">{ground}{body}</g></svg>\n'
        )


def _spans(items: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Each item that stays the same, with the first of its frames and the one after its last."""
    starts = [i for i in range(len(items)) if i == 0 or items[i] != items[i - 1]]
    for first, last in pairwise([*starts, len(items)]):
        yield items[first], first, last


def _during(before: str, after: str, moments: Sequence[float], first: int, last: int) -> str:
    """An element that is seen only between two moments of the repeated whole."""
    whole = moments[-1]
    if (first, last) == (0, len(moments) - 1):
        return f"{before}{after}"
    times = [(0.0, first == 0), (moments[first], True), (moments[last], False)]
    times = [each for i, each in enumerate(times) if (i or first) and each[0] < whole]
    at = ";".join(f"{time / whole:.5g}" for time, _ in times)
    values = ";".join("visible" if seen else "hidden" for _, seen in times)
    animation = (
        f'<animate attributeName="visibility" values="{values}" keyTimes="{at}" '
        f'calcMode="discrete" dur="{whole:.5g}s" repeatCount="indefinite"/>'
    )
    hidden = "" if last == len(moments) - 1 else ' visibility="hidden"'
    if after == "/>":
        return f"{before}{hidden}>{animation}</use>"
    return f"{before}{hidden}{after.removesuffix('</text>')}{animation}</text>"


def _place(row: Row, y: int) -> str:
    return f'<g transform="translate(0,{y * HEIGHT})">{row}</g>' if row else ""


def _shapes(text: str, column: int, look: str) -> Iterator[str]:
    """Words as texts that fill their cells; blocks, lines and Braille as shapes."""
    paint = look.split()[0]
    for found in WORDS.finditer(text):
        x = (column + cell_len(text[: found.start()])) * WIDTH
        words = escape(found[0].replace(" ", "\N{NO-BREAK SPACE}"))
        length = cell_len(found[0]) * WIDTH
        yield f'<text x="{x}" y="13" textLength="{length}" class="{look}">{words}</text>'
    dots, lines = "", ""
    for character, same in groupby(text):
        number = len(list(same))
        if character in PARTS:
            left, top, width, height = PARTS[character]
            shade = SHADES.get(character, 1.0)
            whole = width == 1.0  # neighbours become one rectangle
            for place in range(1 if whole else number):
                cells = number if whole else width
                yield _rectangle(column + place + left, top, cells, height, paint, shade)
        for place in range(number):
            x = (column + place * cell_len(character)) * WIDTH
            if "⠀" <= character <= "⣿":
                for bit, (across, down) in enumerate(DOTS):
                    if (ord(character) - ord("⠀")) >> bit & 1:
                        dots += f"M{x + 2 + 4 * across},{2.1 + 4.25 * down:g}h0"
            elif character in LINES:
                for side in LINES[character]:
                    end = ENDS[side]
                    lines += f"M{x + WIDTH / 2:g},{HEIGHT / 2:g}L{x + end[0]:g},{end[1]:g}"
        column += number * cell_len(character)
    for path, width in ((dots, 2.4), (lines, 1.2)):
        if path:
            yield f'<path d="{path}" class="{paint} d" stroke-width="{width}"/>'


def _rectangle(
    x: float, y: float, width: float, height: float, paint: str, shade: float = 1.0
) -> str:
    """A rectangle of some cells; its edges are sharp, so that neighbours leave no gap."""
    see_through = "" if shade == 1.0 else f' opacity="{shade}"'
    return (
        f'<rect x="{x * WIDTH:g}" y="{y * HEIGHT:g}" width="{width * WIDTH:g}" '
        f'height="{height * HEIGHT:g}" class="{paint}"{see_through}/>'
    )
