"""What a part found, on disk at once, and the numbers as short text."""

import contextlib
import json
import statistics
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


class Results:
    """The lines, figures and errors of one part; a part that is cut off leaves what it had."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, Any] = {"lines": [], "errors": [], "figures": {}}
        self._write()

    def keep(self, name: str, figure: Any) -> None:
        """Keep a figure, or a table of them, for programs."""
        self._found["figures"][name] = figure
        self._write()

    def line(self, text: str) -> None:
        """Add a line to the table."""
        print("##", text, flush=True)
        self._found["lines"].append(text)
        self._write()

    def wrong(self, text: str) -> None:
        """Add a line that says what is not as it must be."""
        self._found["errors"].append(text)
        self.line(f"WRONG {text}")

    def check(self, right: bool, text: str) -> None:
        """Add a line, as one that is wrong unless it is `right`."""
        (self.line if right else self.wrong)(text)

    @contextlib.contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Make one measurement: its failure is noted, and the part goes on."""
        began = time.perf_counter()
        try:
            yield
        except Exception as error:  # whatever a driver, a compiler or a subprocess raises
            traceback.print_exc()
            text = " ".join(str(error).split())[:160]
            self.wrong(f"{what} failed: {type(error).__name__}: {text}")
        print(f"-- {what}: {time.perf_counter() - began:.1f} s", flush=True)

    def _write(self) -> None:
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._found, default=str))
        temporary.replace(self._path)


def median(values: Sequence[float]) -> float:
    """The median, NaN of nothing."""
    return statistics.median(values) if values else float("nan")


def short(number: float) -> str:
    """1234567 as 1.23M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def listed(figures: dict[Any, str]) -> str:
    """`name figure, name figure`."""
    return ", ".join(f"{name} {figure}" for name, figure in figures.items())
