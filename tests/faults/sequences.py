"""Invented sequences: random commands, orders, signals, edits and keys, checked after each step.

A sequence follows from its number and the seed, so that it can be done again; one that breaks
something is made shorter by leaving out steps.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.actions import COMMANDS, PATIENCE, Stage
from tests.faults.edits import EDITS, bring_back
from tests.faults.invariants import Invariants, is_here, short
from tests.faults.memory import Memory
from tests.faults.observe import Observer
from tests.faults.references import References
from tests.faults.rig import Result, adopt, ended_within, reap
from tests.faults.screens import app
from tests.faults.world import World, descendants, fork_quietly, load_program

ACTIONS: dict[Callable[[Stage], str], int] = {**COMMANDS, **EDITS, app: 5}
STEPS = (3, 10)
MOST_RESUMED = 2
"""Runs that are trained to their end after a sequence; the others need only be resumable."""
HANGS = 240.0
"""Seconds after which a sequence counts as hanging."""
ATTEMPTS = 2
"""How often a shorter sequence is tried, as what happens depends on time too."""


@dataclass(frozen=True)
class Step:
    """An action, and what its random choices come from."""

    action: str
    seed: str


def invent(seed: int, number: int) -> list[Step]:
    """The steps of one sequence; the first makes a run."""
    rng = random.Random(f"{seed} sequence {number}")
    names, weights = [a.__name__ for a in ACTIONS], list(ACTIONS.values())
    chosen = ["train", *rng.choices(names, weights, k=rng.randint(*STEPS))]
    if rng.random() < 0.5:
        chosen.insert(0, "images")
    return [Step(name, f"{seed} {number} {i}") for i, name in enumerate(chosen)]


def run_sequences(folder: Path, tries: int, seed: int, first: int = 0) -> Result:
    """Do so many sequences, two at once on each core, as they wait a lot."""
    result = Result("invented sequences", tries)
    load_program()
    references = References(folder / "references")
    counts: Counter[str] = Counter()
    waiting = list(range(first, first + tries))
    active: dict[int, tuple[int, float]] = {}
    while waiting or active:
        while waiting and len(active) < 2 * len(os.sched_getaffinity(0)):
            number = waiting.pop(0)
            active[number] = (_fork_one(folder, references, seed, number), time.monotonic())
        for number, (pid, began) in list(active.items()):
            if ended_within(pid, 0.05):
                reap(pid)
                del active[number]
                _count(folder, number, result, counts)
            elif time.monotonic() - began > HANGS:
                for child in descendants(pid):
                    os.kill(child, signal.SIGKILL)
                os.kill(pid, signal.SIGKILL)
    done = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    result.remarks.append(f"steps: {done}")
    return result


def _fork_one(folder: Path, references: References, seed: int, number: int) -> int:
    answer = folder / f"sequence-{number}.json"

    def work() -> None:
        steps = invent(seed, number)
        told, problems = perform(folder / f"sequence-{number}", references, steps)
        answer.write_text(json.dumps([[s.action for s in steps], told, problems]))

    return adopt(fork_quietly(work, folder / f"sequence-{number}"))


def _count(folder: Path, number: int, result: Result, counts: Counter[str]) -> None:
    """Add what one sequence came to, and remove its files."""
    answer = folder / f"sequence-{number}.json"
    if not answer.exists():
        err = (folder / f"sequence-{number}.err").read_text()[-2000:]
        result.lose(f"sequence {number} did not end: {err}")
    else:
        actions, told, problems = json.loads(answer.read_bytes())
        counts.update(actions)
        if problems:
            story = "".join(f"\n    {line}" for line in (*told, *(f"=> {p}" for p in problems)))
            count = result.lose if any("lost" in p for p in problems) else result.mistake
            count(f"sequence {number}:{story}")
    shutil.rmtree(folder / f"sequence-{number}", ignore_errors=True)
    for path in folder.glob(f"sequence-{number}.*"):
        path.unlink()


def perform(
    folder: Path, references: References, steps: Sequence[Step]
) -> tuple[list[str], list[str]]:
    """Do the steps until something is wrong; what was done, and what was wrong."""
    world = World(folder)
    memory = Memory()
    stage = Stage(world, memory, references)
    invariants = Invariants(Observer(world), memory, references)
    told = []
    try:
        for step in steps:
            stage.rng = random.Random(step.seed)
            action = next(a for a in ACTIONS if a.__name__ == step.action)
            began = time.monotonic()
            if done := action(stage):
                told.append(done)
                told[-1] += f"   [{time.monotonic() - began:.2f} s]"
                if problems := invariants.violations():
                    return told, problems
                told[-1] += f"   [{time.monotonic() - began:.2f} s]"
        return told, list(_settle(stage, invariants))
    finally:
        world.clear()
        shutil.rmtree(folder, ignore_errors=True)


def _settle(stage: Stage, invariants: Invariants) -> Iterator[str]:
    """Undo what hinders, tell all to stop, and see that they do; then resume to the end."""
    world, memory = stage.world, stage.memory
    bring_back(stage)
    world.unlock_device()
    world.signal_all(signal.SIGCONT)
    told = _stop_all(stage)
    if problems := [*told, *invariants.violations()]:
        yield from problems
        return
    seen = invariants.look()
    for run_id in memory.stopped & set(seen["runs"]):
        about = seen["runs"][run_id]
        waits = about["status"] == "queued" and not about["left"] and is_here(about)
        if about["status"] in ("running", "paused") or waits:
            yield f"{short(run_id)} was asked to stop and is {about['status']}"
    if seen["devices"]:
        yield f"nobody is left, and these locks are held: {', '.join(seen['devices'])}"
    yield from _resume_all(stage, invariants)


def _stop_all(stage: Stage) -> Iterator[str]:
    """Ask every run and every program to stop; name the processes that do not."""
    world = stage.world
    for program in world.programs:
        if program.screen is not None:  # the app may outlive the process that was started
            for pid in world.processes():
                with contextlib.suppress(ProcessLookupError):
                    if os.getpgid(pid) == program.pid:
                        os.kill(pid, signal.SIGTERM)
        elif program.argv[:2] == ("runs", "watch"):
            program.send(signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    asked: dict[str, float] = {}
    while world.processes() and time.monotonic() < end:
        for run in stage.ids():
            if time.monotonic() - asked.get(run, -10.0) > 3.0:
                asked[run] = time.monotonic()
                stage.command("runs", "stop", run)
        for program in world.programs:
            if program.screen is not None:
                world.read_screen(program, 0.02)
        time.sleep(0.05)
    if left := world.processes():
        yield f"told to stop, and still there: {', '.join(left.values())}"


def _resume_all(stage: Stage, invariants: Invariants) -> Iterator[str]:
    """What was interrupted goes on to what it would have been; or it is said why it cannot."""
    world = stage.world
    resumed = 0
    for run_id, about in invariants.look()["runs"].items():
        if run_id in stage.memory.foreign or about["status"] in (
            "finished",
            "diverged",
            "unreadable",
        ):
            continue
        if about["status"] in ("running", "paused") and not is_here(about):
            continue  # of another machine, which nobody can ask before half a minute has passed
        if resumed == MOST_RESUMED:
            break
        resumed += 1
        program = stage.command("runs", "resume", run_id)
        if program.code:
            if reason := _unjustified(stage, run_id, about):
                said = program.err.strip()
                yield f"{short(run_id)}, {about['status']}, is not resumed: {said} {reason}"
            continue
        end = time.monotonic() + 2 * PATIENCE
        while world.processes() and time.monotonic() < end:
            time.sleep(0.05)
        after = invariants.look()["runs"].get(run_id, {"status": "lost", "reason": ""})
        reason = "" if after["status"] == "finished" else _unjustified(stage, run_id, about)
        if reason:
            said = f"{after['status']} ({after['reason']})"
            yield f"{short(run_id)} was resumed and is {said}: {reason}"
    yield from invariants.violations()


def _unjustified(stage: Stage, run_id: str, about: dict[str, object]) -> str:
    """Empty where a run may refuse to go on: other images, changed files, last.pt given up."""
    memory = stage.memory
    if memory.touched.get(run_id):
        return ""
    if about["best.pt"] and not about["last.pt"]:
        return ""
    if (known := memory.known.get(run_id)) is None:
        return ""  # it had not begun, and may have lost its images since
    show = about["show"]["json"]  # type: ignore[index]
    places = {place: name for name, place in stage.references.sets.items()}
    places["data"] = places[str(stage.world.home / "data")] = memory.data
    if places.get(show["spec"]["data"]) != known[1]:
        return ""
    return "nothing of it was changed"


def replay(folder: Path, seed: int, number: int) -> int:
    """Do one sequence, and where it breaks something find a shorter one that does; 1 if so."""
    load_program()
    references = References(folder / "references")
    steps, told, problems = shrink(folder, references, invent(seed, number))
    print(*told, *(f"=> {problem}" for problem in problems), sep="\n")
    print(f"sequence {number} of seed {seed}: {len(steps)} steps, {len(problems)} things wrong")
    return 1 if problems else 0


def shrink(
    folder: Path, references: References, steps: Sequence[Step]
) -> tuple[list[Step], list[str], list[str]]:
    """The shortest sequence found that still breaks something, what it did and what broke."""
    best: tuple[list[Step], list[str], list[str]] = (list(steps), [], [])
    attempt = 0

    def breaks(shorter: Sequence[Step]) -> bool:
        nonlocal best, attempt
        for _ in range(ATTEMPTS):
            attempt += 1
            told, problems = perform(folder / f"shorter-{attempt}", references, shorter)
            if problems:
                best = (list(shorter), told, problems)
                print(f"{len(shorter)} steps break it: {problems[0]}", flush=True)
                return True
            if not best[2]:
                best = (best[0], told, [])
        return False

    if not breaks(steps):
        return best
    size = max(1, len(best[0]) // 2)
    while size:
        at = 0
        while at < len(best[0]):
            if not breaks(best[0][:at] + best[0][at + size :]):
                at += size
        size //= 2
    return best
