"""What a sequence remembers: what was done to which run, and what was promised of it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Memory:
    """What must be so after what was done; ids are those of run folders."""

    data: str = "demo"
    """Which images lie in `data` of the working folder; with none there, the demo set is used."""
    ids: set[str] = field(default_factory=set)
    """All runs ever seen in the folder of runs."""
    gone: set[str] = field(default_factory=set)
    """Those that were removed, or may have been."""
    trashed: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    """Folders that never were runs of ours."""
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was accepted as name, tags, note and pin."""
    stopped: set[str] = field(default_factory=set)
    """Runs of which a stop was accepted, and no resume since."""
    touched: dict[str, set[str]] = field(default_factory=dict)
    """Files of a run that were changed behind the program's back."""
    specs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """All settings that each run was shown with; whoever trains it may have read any of them."""
    known: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Settings and images that a run's figures were found to be of."""
    away: bool = False
    """Whether the folder of runs is called something else for now."""
    may_stop: bool = False
    """Whether a signal or a key may have stopped a run."""
    complaints: list[str] = field(default_factory=list)
    """What was seen to be wrong while it happened."""

    def touch(self, run_id: str, file: str) -> None:
        """Remember that a file of this run is not as the program left it."""
        self.touched.setdefault(run_id, set()).add(file)

    def forget(self, run_id: str) -> None:
        """The run may be gone."""
        self.gone.add(run_id)
        self.stopped.discard(run_id)
        self.notes.pop(run_id, None)
