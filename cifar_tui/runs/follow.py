"""Follows one run through its folder alone, live or ended, whoever trains it."""

from dataclasses import dataclass
from typing import Any

from cifar_tui.runs.files import LineReader
from cifar_tui.runs.listing import Run, Runs, epochs_of, read_progress, sound
from cifar_tui.runs.record import Progress


@dataclass(frozen=True)
class Look:
    """What one look at a run shows: its state, the new events, and all epochs so far."""

    run: Run
    events: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    progress: Progress | None


class Follower:
    """Looks at one run again and again, reading only what was added."""

    def __init__(self, runs: Runs, run_id: str) -> None:
        self.run_id = run_id
        self._runs = runs
        self._lines = LineReader(runs.folder / run_id / "events.jsonl")
        self._epochs: list[dict[str, Any]] = []

    def look(self) -> Look:
        """Read the run's state first and its events after, so that an ended run is complete."""
        run = self._runs.get(self.run_id)
        events = list(sound(self._lines))
        if any(event.get("event") in ("epoch", "start", "resume") for event in events):
            self._epochs = epochs_of(events, self._epochs)
        return Look(run, events, self._epochs, run.progress or read_progress(run.path))
