"""How many keys and seconds a question takes in a terminal program (docs/notes/side-by-side.md).

`python -m benchmarks.side_by_side ours RUNS` or `... leet WANDB_FOLDER` drives it in tmux at
140x40 on a fresh copy of the runs: keys are sent one by one as fast as tmux takes them, and the
clock stops when the answer stands on the screen. Where a step waits for the screen, so would a
person. More words choose among the questions. The runs are the 300 of `benchmarks.many_runs` and 20
others.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SERVER = ("tmux", "-L", "side-by-side")
WIDTH, HEIGHT = 140, 40
PATIENCE = 15.0
LOOK = 0.02
STILL = 1.0
REPEATS = 3


@dataclass(frozen=True)
class Step:
    """Keys, and a pattern that the screen must show before the next step."""

    keys: tuple[str, ...]
    shows: str


def press(*keys: str, shows: str) -> Step:
    """Keys by tmux's names."""
    return Step(keys, shows)


def write(text: str, *keys: str, shows: str) -> Step:
    """A text typed letter by letter, then keys."""
    return Step((*text, *keys), shows)


@dataclass(frozen=True)
class Task:
    """A question and the steps to its answer, from a program that shows all its runs."""

    question: str
    steps: tuple[Step, ...]

    @property
    def keys(self) -> int:
        """Keys pressed, Ctrl and Shift not counted."""
        return sum(len(step.keys) for step in self.steps)


SECOND = r"Name: (?!simplenn aug bn seed 4)"
"""In LEET a run is looked at that is not the first, which has seed 4."""
ALL_DRAWN = r"(?s)(● [^●○]*){30}"
"""The marks of those runs that fit the screen are filled."""
FILTER = (press("F4", shows="320 runs"), press("/", shows=r"(?m)^ filter "))
OURS = (
    Task("the program is there", (press(shows="NEW"),)),
    Task("all runs are there", (press("F4", shows="320 runs"),)),
    Task(
        "which setting was best, and was it luck",
        (
            press("F4", shows="320 runs"),
            press("g", shows="Group by"),
            press("Enter", shows=r"groups of .*by mean"),
        ),
    ),
    Task(
        "what differs between these two (wandb#2470)",
        (
            press("F4", shows="320 runs"),
            press("Space", "Down", "c", shows="2 runs that differ in"),
        ),
    ),
    Task(
        "where does this net go wrong",
        (
            *FILTER,
            write("swish", "Enter", shows="1 of 320"),
            press("i", "4", shows="most common mistakes"),
        ),
    ),
    Task(
        "what mattered",
        (
            *FILTER,
            write("tag:generated", "Enter", shows="300 of 320"),
            press("W", shows="matters most"),
        ),
    ),
    Task(
        "only the runs with val_acc of 0.72 or more (tensorboard#1569)",
        (*FILTER, write("val_acc>=0.72", "Enter", shows="14 of 320")),
    ),
    Task(
        "mean over seeds with a band, the best two settings (tensorboard#1503)",
        (
            press("F4", shows="320 runs"),
            press("g", shows="Group by"),
            press("Enter", shows=r"groups of .*by mean"),
            press("Space", "Down", "Space", "c", shows="10 runs that differ"),
            press("g", shows="mean ± std"),
        ),
    ),
    Task(
        "all scalars of all runs in one file (tensorboard#1232)",
        (
            press("F4", shows="320 runs"),
            press("y", shows="Save 320 runs"),
            press("Right", "Enter", shows="Enter closes"),
        ),
    ),
    Task(
        "two diverged runs away (tensorboard#785)",
        (
            *FILTER,
            write("diverged", "Enter", shows="31 of 320"),
            press("Space", "Down", "Space", "x", shows="to the trash"),
            press("y", shows="29 of 318"),
        ),
    ),
    Task(
        "a tag given after the result, and found by it (tensorboard#210)",
        (
            press("F4", shows="320 runs"),
            press("a", shows="Enter saves"),
            press("Tab", shows="tags"),
            write("good", "Enter", shows=r"none +good"),
            press("/", shows=r"(?m)^ filter "),
            write("tag:good", "Enter", shows="1 of 320"),
        ),
    ),
)
LEET = (
    Task("all runs are there", (press(shows="of 320"),)),
    Task(
        "val_acc of all runs over each other",
        (press("C-a", shows="Press y"), press("y", shows=ALL_DRAWN)),
    ),
    Task(
        "what differs between these two (wandb#2470): two lists, by eye",
        (press("Down", shows=SECOND),),
    ),
    Task(
        "only the runs with val_acc of 0.72 or more (tensorboard#1569)",
        (press("f", shows="Runs filter"), write("val_acc>=0.72", "Enter", shows="of 14 filtered")),
    ),
    Task(
        "only the runs with lr of 0.05 or more",
        (press("f", shows="Runs filter"), write("cfg.lr>=0.05", "Enter", shows="of 185 filtered")),
    ),
    Task(
        "runs found by a tag that the script gave (half of tensorboard#210)",
        (press("f", shows="Runs filter"), write("tag:generated", "Enter", shows="of 300 filtered")),
    ),
)


def tmux(*arguments: str) -> str:
    """Run one tmux command and return what it prints."""
    done = subprocess.run([*SERVER, *arguments], capture_output=True, text=True, check=False)
    return done.stdout


def wait_for(pattern: str) -> bool:
    """Whether the screen shows it before patience ends."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if re.search(pattern, tmux("capture-pane", "-p")):
            return True
        time.sleep(LOOK)
    return False


def settle() -> None:
    """Wait until the screen stands still."""
    before = ""
    while before != (now := tmux("capture-pane", "-p")):
        before = now
        time.sleep(STILL)


def seconds(task: Task, command: str, ready: str) -> float | None:
    """Seconds from the first key to the answer, or None; for no keys, from the command."""
    started = time.monotonic()
    tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), command)
    if any(step.keys for step in task.steps):
        if not wait_for(ready):
            return None
        settle()
        started = time.monotonic()
    for step in task.steps:
        for key in step.keys:
            tmux("send-keys", *(("-l", key) if len(key) == 1 else (key,)))
        if not wait_for(step.shows):
            return None
    return time.monotonic() - started


def main(tasks: Sequence[Task], program: str, runs: Path, ready: str) -> None:
    """A line per question: keys, median seconds of some tries on fresh copies, the question."""
    for task in tasks:
        tries = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                shutil.copytree(runs, Path(folder) / "runs", symlinks=True)
                tries.append(seconds(task, f"cd {folder}; {program} runs", ready))
                tmux("kill-server")
                time.sleep(STILL)
        known = sorted(one for one in tries if one is not None)
        shown = f"{known[len(known) // 2]:6.1f} s" if len(known) == REPEATS else "     - s"
        print(f"{task.keys:3} keys {shown}  {task.question}", flush=True)


PROGRAMS: dict[str, tuple[Sequence[Task], str, str]] = {
    "ours": (OURS, f"{sys.executable} -m cifar_tui --data demo --runs", "NEW"),
    "leet": (LEET, "wandb leet", "of 320"),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("runs", type=Path)
    parser.add_argument("words", nargs="*", help="of the questions that are asked")
    given = parser.parse_args()
    tasks, program, ready = PROGRAMS[given.program]
    asked = [task for task in tasks if all(word in task.question for word in given.words)]
    main(asked, program, given.runs, ready)
