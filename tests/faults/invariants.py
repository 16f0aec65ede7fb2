"""What must hold of all runs after every step, whatever was done."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.faults.memory import Memory
from tests.faults.observe import CHECKPOINTS, Observer
from tests.faults.references import Reference, References
from tests.faults.rig import EXACT

ENDED = ("finished", "stopped", "diverged", "failed", "crashed", "unreadable")
LOOKS = 6
"""So often a wrong answer must be seen before it counts: files change while they are read."""
BETWEEN = 0.25


class Invariants:
    """Checks one world after each step."""

    def __init__(self, observer: Observer, memory: Memory, references: References) -> None:
        self._observer = observer
        self._world = observer.world
        self._memory = memory
        self._references = references

    def violations(self) -> list[str]:
        """What is wrong, and stays wrong for a while."""
        lasting: set[str] | None = None
        for number in range(LOOKS):
            found = set(self._look())
            lasting = found if lasting is None else lasting & found
            if not lasting:
                break
            if number < LOOKS - 1:
                time.sleep(BETWEEN)
        complaints, self._memory.complaints = self._memory.complaints, []
        for program in self._world.programs:
            if program.ended and not program.judged:
                program.judged = True
                if problem := program.misbehaviour():
                    complaints.append(f"`{' '.join(program.argv)[:80]}` {problem}")
        return [*complaints, *sorted(lasting or ())]

    def look(self) -> dict[str, Any]:
        """What is shown now; the runs must be where they belong."""
        return self._observer.look()

    def _look(self) -> Iterator[str]:
        seen = self.look()
        if seen["problem"]:
            yield seen["problem"]
            return
        if self._memory.away:
            return
        yield from self._listed(seen)
        for run_id, about in seen["runs"].items():
            if run_id in self._memory.foreign:
                continue
            for problem in self._of_run(run_id, about, seen):
                yield f"{short(run_id)}: {problem}"

    def _listed(self, seen: Mapping[str, Any]) -> Iterator[str]:
        """Every folder is listed once, and no run is lost."""
        memory = self._memory
        if seen["list"]["code"] or seen["text"]["code"]:
            yield f"the list ended with {seen['list']['code']}: {seen['list']['err']}"
            return
        listed = [run["id"] for run in seen["list"]["json"]]
        for name in set(seen["folders"]) ^ set(listed):
            yield f"{short(name)} is {'not ' * (name not in listed)}listed"
        memory.ids |= set(listed)
        for name in memory.ids - memory.gone - memory.trashed - set(listed):
            yield f"{short(name)} was lost"
        for name in memory.trashed - memory.gone - set(seen["trash"]):
            yield f"{short(name)} was lost from the trash"

    def _of_run(self, run_id: str, about: dict[str, Any], seen: Mapping[str, Any]) -> Iterator[str]:
        touched = self._memory.touched.get(run_id, set())
        listed = next((r for r in seen["list"]["json"] if r["id"] == run_id), None)
        if about["show"]["code"] or listed is None:
            yield f"show ended with {about['show']['code']}: {about['show']['err']}"
            return
        show = about["show"]["json"]
        specs = self._memory.specs.setdefault(run_id, [])
        if show["spec"] not in specs:
            specs.append(show["spec"])
        if about["status"] == "unreadable":
            if not touched:
                yield f"became unreadable: {about['reason']}"
            return
        for name in ("best", "last", "epochs_done", "spec", "synthetic", "status", "name", "tags"):
            if show[name] != listed[name] and not about["locked"]:
                yield f"list and show differ in {name}"
        yield from self._owned(about)
        if "notes.json" not in touched:
            for name, value in self._memory.notes.get(run_id, {}).items():
                if show[name] != value:
                    yield f"{name} is {show[name]!r}, and {value!r} was accepted"
        if not touched & {"summary.json", "events.jsonl"}:
            yield from self._figures(run_id, about, show, touched)

    def _owned(self, about: dict[str, Any]) -> Iterator[str]:
        """A run has a living owner, or is shown as without one."""
        status, reason, worker = about["status"], about["reason"], about["worker"]
        # where progress.json is damaged, the lock alone tells of its process
        alive = os.path.exists(f"/proc/{worker['pid']}") if worker else about["locked"]
        if worker is not None and not is_here(about):
            return  # nobody can tell before half a minute has passed
        if status in ("running", "paused") and not alive:
            yield f"is {status} without a process"
        if status in ("running", "paused") and not about["locked"]:
            yield f"is {status} and nobody trains it"
        if status == "queued" and not about["left"] and not alive:
            yield "is queued, and who queued it is gone"
        if status in ENDED and about["locked"]:
            yield f"is {status} ({reason}) while it is trained"
        if status == "failed" and not reason:
            yield "failed without a reason"

    def _figures(
        self, run_id: str, about: dict[str, Any], show: dict[str, Any], touched: set[str]
    ) -> Iterator[str]:
        """All figures are those of one undisturbed training, on the images that are named."""
        epochs, done = show["epochs"], show["epochs_done"]
        if not epochs:
            return
        if [e["epoch"] for e in epochs] != list(range(1, len(epochs) + 1)):
            yield f"has epochs {[e['epoch'] for e in epochs]}"
            return
        slack = 0 if about["status"] in ("finished", "stopped") else 1
        if not done <= len(epochs) <= done + slack:
            yield f"shows {len(epochs)} epochs and says {done} are done"
        named = show["meta"].get("dataset", {}).get("fingerprint")
        specs = self._memory.specs[run_id] if "spec.toml" in touched else [show["spec"]]
        kept = (about[name][0] for name in CHECKPOINTS if about[name] is not None)
        length = max(len(epochs), done, *kept, 0)
        found = (self._explanation(spec, epochs, named, length) for spec in specs)
        reference = next(filter(None, found), None)
        if reference is None:
            yield f"has figures of no single training: {self._nearest(specs, epochs)}"
            return
        known = self._memory.known.setdefault(run_id, reference.of)
        if known != reference.of and "spec.toml" not in touched:
            yield f"was of the {known[1]} images and is now of the {reference.images} images"
        yield from _points(show, reference)
        yield from _checkpoints(about, reference, touched)
        if show["synthetic"] != reference.synthetic:
            yield f"is of the {reference.images} images, and synthetic is {show['synthetic']}"
        meta = show["meta"].get("dataset", {})
        if "meta.json" not in touched and meta.get("fingerprint") != reference.fingerprint:
            yield f"was trained on the {reference.images} images and names others"

    def _nearest(self, specs: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> str:
        """The training that most of the epochs are of, and the first figure that is not."""
        found = []
        for spec in specs:
            for images in self._references.sets:
                whole = self._references.of(spec, images, len(epochs)).epochs
                wrong = [
                    f"{name} of epoch {other['epoch']} is {one.get(name)}, not {other[name]}"
                    for one, other in zip(epochs, whole, strict=False)
                    for name in EXACT
                    if one.get(name) != other[name]
                ]
                found.append((len(wrong), f"of the {images} images, {wrong[0] if wrong else ''}"))
        return min(found)[1]

    def _explanation(
        self, spec: Mapping[str, Any], epochs: list[dict[str, Any]], named: str, length: int
    ) -> Reference | None:
        """The training that gave these figures; that on the named images is tried first."""
        figures = [{name: event.get(name) for name in EXACT} for event in epochs]
        first = self._references.fingerprints.get(named)
        for images in sorted(self._references.sets, key=lambda name: name != first):
            reference = self._references.of(spec, images, length)
            if reference.epochs[: len(epochs)] == figures:
                return reference
        return None


def is_here(about: Mapping[str, Any]) -> bool:
    """Whether the run's process, if it has any, is on this machine."""
    worker = about["worker"]
    return worker is None or bool(worker["host"] == socket.gethostname())


def _points(show: dict[str, Any], reference: Reference) -> Iterator[str]:
    """Best and last are epochs of that training, and best is the best of them."""
    done = show["epochs_done"]
    for name in ("best", "last"):
        point = show[name]
        if point is None:
            if done:
                yield f"has no {name} after {done} epochs"
            continue
        if not 1 <= point["epoch"] <= max(done, 1) + 1:
            yield f"{name} is of epoch {point['epoch']} of {done}"
            continue
        whole = reference.epochs[point["epoch"] - 1]
        if any(point[k] != whole[k] for k in ("val_acc", "val_loss", "train_acc", "train_loss")):
            yield f"{name} is not what epoch {point['epoch']} gave"
    if done and show["best"]:
        best = max(reference.epochs[:done], key=lambda e: e["val_acc"])
        if show["best"]["val_acc"] != best["val_acc"]:
            yield f"best is epoch {show['best']['epoch']}, and epoch {best['epoch']} was better"


def _checkpoints(about: dict[str, Any], reference: Reference, touched: set[str]) -> Iterator[str]:
    """Both hold what that training gave at their epochs."""
    for name in CHECKPOINTS:
        found = about[name]
        if found is None or name in touched:
            continue
        epoch, weights = found
        if epoch < 0:
            yield f"{name} is refused: {weights}"
        elif reference.weights[epoch] != weights:
            yield f"{name} holds other weights than epoch {epoch} gave"


def short(run_id: str) -> str:
    """The end of an id, that is different in each run of a sequence."""
    return run_id[9:22] if run_id[:8].isdecimal() else run_id
