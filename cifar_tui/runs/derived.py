"""What is computed from a run's best weights, and kept in its folder until these change."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from cifar_tui.data.find import DEMO
from cifar_tui.files import dump_json, fingerprint, read_json, sweep, write_atomic
from cifar_tui.runs.listing import Run
from cifar_tui.runs.origin import origin_of
from cifar_tui.runs.record import Count, Line


class Derived(BaseModel):
    """What the best weights of a run say of some images."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    weights: str
    """First 16 hex digits of the checkpoint file's sha256."""
    epoch: Count
    source: Line
    data: Line = ""
    """The images' fingerprint; empty where it was not noted."""

    @property
    def synthetic(self) -> bool:
        """Whether the images are the demo set's."""
        return self.source == DEMO


Kind = TypeVar("Kind", bound=Derived)


def read_derived(run: Run, file: str, kind: type[Kind], data: str | None = None) -> Kind | None:
    """What a file of the run's folder holds; None unless it is whole and of its best weights.

    `data` is the fingerprint of the images it must be about, by default the run's own.
    """
    try:
        found = kind.model_validate(read_json(run.path / file))
        current = found.weights == fingerprint(run.path / "best.pt")
    except (OSError, ValueError):
        return None
    other_images = origin_of(run).remark(found.data) if data is None else data != found.data
    return found if current and not other_images else None


def write_derived(path: Path, found: Derived) -> None:
    """Keep it in a file, in one step; raises OSError."""
    sweep(path)
    write_atomic(path, dump_json(found.model_dump(mode="json")))
