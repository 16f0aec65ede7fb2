"""Which images an answer is about: runs on others, above all on synthetic ones, never count."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_tui.data.find import find
from cifar_tui.errors import UserError
from cifar_tui.runs.ids import by_time
from cifar_tui.runs.listing import Run, read_meta
from cifar_tui.spec.checks import SETTINGS

FINGERPRINT = re.compile(r"[0-9a-f]{1,64}")
NOTES = {
    "785141258484a1be": "CIFAR-10 after one JPEG round trip: accuracies lie about two points below "
    "those on the original pixels (a plain loop gives 0.637 for lab1-baseline), so the first bar "
    "is harder to reach.",
}
"""What is known of images by their fingerprint."""


@dataclass(frozen=True)
class ImageSet:
    """A kind of images (course, official or demo) and their fingerprint, if it is known."""

    source: str
    fingerprint: str = ""

    @property
    def synthetic(self) -> bool:
        return self.source == "demo"

    @property
    def note(self) -> str:
        """What a reader of the figures must know about these images."""
        if self.synthetic:
            return "No figure here says anything about CIFAR-10."
        return NOTES.get(self.fingerprint, "")

    @property
    def kind(self) -> str:
        """`course images`, or the demo set with its warning."""
        return "the demo set (synthetic)" if self.synthetic else f"{self.source} images"

    @property
    def words(self) -> str:
        """`course images 785141258484a1be`."""
        return f"{self.kind} {self.fingerprint}".strip()

    def are_of(self, run: Run) -> bool:
        """Whether the run was, or will be, trained on these."""
        if _source(run) != self.source:
            return False
        dataset = _dataset(run)
        return not (self.fingerprint and dataset) or dataset["fingerprint"] == self.fingerprint


def choose_images(data: str | None, runs: Sequence[Run]) -> ImageSet:
    """The images in the folder `data`, known by the newest run on them; no image is read.

    Without `data`: those of the default folder, else the real ones of the newest run, else the
    demo set.
    """
    found = find(SETTINGS["data"].default if data is None else data)
    source, folder = str(found.source), found.path
    newest_first = sorted(runs, key=lambda run: by_time(run.id), reverse=True)
    if data is None and source == "demo":
        real = (run for run in newest_first if run.summary.source not in ("", "demo"))
        source = next((run.summary.source for run in real), source)
    same = [run for run in newest_first if run.summary.source == source and _dataset(run)]
    if folder is not None:
        place = str(folder.resolve())
        same = [run for run in same if _dataset(run)["folder"] == place] or same
    return ImageSet(source, _dataset(same[0])["fingerprint"] if same else "")


def _source(run: Run) -> str:
    """What kind of images the run has; of one that waits, what its folder holds."""
    if run.summary.source or run.spec is None:
        return run.summary.source
    try:
        return str(find(run.spec.data).source)
    except UserError:
        return ""


def _dataset(run: Run) -> dict[str, Any]:
    """Folder and fingerprint of the run's images, from its meta.json; empty when unknown."""
    path = run.path / "meta.json"
    try:
        return _read_dataset(run.path, path.stat().st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(maxsize=20_000)
def _read_dataset(path: Path, written: int) -> dict[str, Any]:
    dataset = read_meta(path).get("dataset")
    if not isinstance(dataset, dict) or not isinstance(dataset.get("fingerprint"), str):
        return {}
    known = FINGERPRINT.fullmatch(dataset["fingerprint"])
    return {"folder": dataset.get("folder"), "fingerprint": known[0]} if known else {}
