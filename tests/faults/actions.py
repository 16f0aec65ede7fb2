"""What people and the system do to runs: commands, orders and signals, chosen by a generator."""

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

from tests.faults.memory import Memory
from tests.faults.observe import folders
from tests.faults.references import References
from tests.faults.world import Program, World

PATIENCE = 20.0
"""Seconds within which a command that does not train must end."""
INSTANTS = 0.7
"""Longest wait before a program that trains is disturbed."""
ANOTHER_HOST = "another-host"


class Stage:
    """A world, what is remembered of it, and the dice of one step."""

    def __init__(self, world: World, memory: Memory, references: References) -> None:
        self.world = world
        self.memory = memory
        self.references = references
        self.rng = random.Random()

    def ids(self) -> list[str]:
        """The runs there are."""
        return [name for name in folders(self.world.runs) if name not in self.memory.foreign]

    def a_run(self) -> str:
        """One of them, the newest ones more often; empty if there are none."""
        ids = self.ids()
        return self.rng.choice(ids[-3:] if self.rng.random() < 0.6 else ids) if ids else ""

    def command(self, *argv: str, **how: Any) -> Program:
        """A command that must end soon, from `home`."""
        program = self.world.run(*argv, seconds=PATIENCE, **how)
        if not program.ended:
            self.memory.complaints.append(f"`{' '.join(argv)}` did not end in {PATIENCE:.0f} s")
            program.send(signal.SIGKILL)
            program.wait(PATIENCE)
        return program

    def disturb(self, program: Program) -> str:
        """Let a program that trains end, or meet something at a random instant."""
        what = self.rng.choice(
            ("end", "end", "KILL", "TERM", "INT", "HUP", "STOP", "leave", "leave")
        )
        if what == "end":
            program.wait(5.0)
            return "to its end" if program.ended else "left in training"
        ended = program.wait(self.rng.uniform(0, INSTANTS))
        if ended or what == "leave":
            return "ended" if ended else "left in training"
        program.send(signal.Signals[f"SIG{what}"])
        if what in ("KILL", "TERM", "INT"):
            program.wait(0.5)
        return f"SIG{what} mid-run"


def train(stage: Stage) -> str:
    """One run or a grid, in the foreground, the background or in slots."""
    rng, argv = stage.rng, ["train"]
    argv += ["--epochs", rng.choice(("2", "3", "5", "8", "8", "30"))]
    argv += ["--lr", rng.choice(("0.05", "0.01"))]
    data = rng.choice(("", "", "", *stage.references.sets.values()))
    argv += ["--data", data] if data else []
    form = rng.choice(("plain", "plain", "plain", "detach", "detach", "grid", "devices"))
    if form in ("grid", "devices"):
        argv += ["--grid", "seed=0,1"]
    else:
        argv += ["--seed", rng.choice(("0", "0", "1"))]
    if rng.random() < 0.3:
        argv += ["--name", rng.choice(("mine", "last", "a name", "x" * 40))]
    if form == "devices":
        argv += ["--devices", "cpu:2" if (os.cpu_count() or 1) > 1 else "cpu"]
    if form == "detach":
        program = stage.command(*argv, "--detach")
        return f"{' '.join(argv)} --detach: {program.code}"
    program = stage.world.start(*argv, *(["--json"] if rng.random() < 0.3 else []))
    return f"{' '.join(argv)}: {stage.disturb(program)}"


def resume(stage: Stage) -> str:
    """Let a run go on, from here, from another folder, or from another machine."""
    if not (run := stage.a_run()):
        return ""
    how: dict[str, Any] = {}
    argv = ["runs", "resume", run]
    if stage.rng.random() < 0.25:
        how["where"] = stage.world.away
        argv += ["--runs", str(stage.world.runs)]
    if stage.rng.random() < 0.1:
        how["host"] = ANOTHER_HOST
    program = stage.command(*argv, **how)
    if program.code == 0:
        stage.memory.stopped.discard(run)
    return f"runs resume {run}{' (elsewhere)' if how else ''}: {program.code}"


def resume_twice(stage: Stage) -> str:
    """Two people resume one run at the same instant."""
    if not (run := stage.a_run()):
        return ""
    both = [stage.world.start("runs", "resume", run) for _ in range(2)]
    codes = [program.wait(PATIENCE) and program.code for program in both]
    if 0 in codes:
        stage.memory.stopped.discard(run)
    return f"runs resume {run} twice at once: {codes}"


def order(stage: Stage) -> str:
    """Stop or pause, once or one right after the other."""
    if not (run := stage.a_run()):
        return ""
    told = []
    for what in stage.rng.choice((("stop",), ("pause",), ("stop", "pause"), ("pause", "stop"))):
        program = stage.command("runs", what, run)
        told.append(f"{what} {program.code}")
        if program.code == 0 and what == "stop":
            stage.memory.stopped.add(run)
    return f"{run}: {', '.join(told)}"


def note(stage: Stage) -> str:
    """Notes from two sides at once: what both were told is kept must be there."""
    if not (run := stage.a_run()):
        return ""
    rng = stage.rng
    sides: list[tuple[list[str], dict[str, Any]]] = [
        (["note", run, "--note", word := f"remark {rng.randrange(99)}"], {"note": word}),
        (["note", run, "--tags", f"a,{(tag := f't{rng.randrange(9)}')}"], {"tags": ["a", tag]}),
        (["note", run, "--name", name := f"name {rng.randrange(999)}"], {"name": name}),
        (["pin", run], {"pinned": True}),
        (["unpin", run], {"pinned": False}),
    ]
    a, b = rng.sample(sides, 2)
    if set(a[1]) == set(b[1]):
        b = sides[0]
    both = [(stage.world.start("runs", *argv), said) for argv, said in (a, b)]
    for program, said in both:
        if program.wait(PATIENCE) and program.code == 0 and run in stage.ids():
            stage.memory.notes.setdefault(run, {}).update(said)
    return f"{' '.join(a[0])} and {' '.join(b[0])}: {[p.code for p, _ in both]}"


def throw_away(stage: Stage) -> str:
    """Delete, restore, empty the trash."""
    rng, memory = stage.rng, stage.memory
    what = rng.choice(("delete", "delete", "restore", "restore", "empty-trash"))
    if what == "delete":
        if not (run := stage.a_run()):
            return ""
        program = stage.command("runs", "delete", run)
        if program.code == 0:
            memory.trashed.add(run)
        return f"runs delete {run}: {program.code}"
    trashed = folders(stage.world.runs / ".trash")
    if what == "restore" and trashed:
        run = rng.choice(trashed)
        program = stage.command("runs", "restore", run)
        if program.code == 0:
            memory.trashed.discard(run)
        return f"runs restore {run}: {program.code}"
    program = stage.command("runs", "empty-trash", "--yes")
    for run in trashed:
        memory.forget(run)
        memory.trashed.discard(run)
    return f"runs empty-trash: {program.code}"


def keep(stage: Stage) -> str:
    """Give up last.pt; archive and bring in again."""
    if not (run := stage.a_run()):
        return ""
    if stage.rng.random() < 0.4:
        program = stage.command("runs", "keep-best", run, "--yes")
        return f"runs keep-best {run}: {program.code}"
    program = stage.command("runs", "archive", run, "--output", "a.zip", "--overwrite")
    if program.code:
        return f"runs archive {run}: {program.code}"
    before = set(stage.ids())
    brought = stage.command("runs", "unarchive", "a.zip")
    for new in set(stage.ids()) - before:
        stage.memory.specs[new] = list(stage.memory.specs.get(run, []))
        for file in stage.memory.touched.get(run, ()):
            stage.memory.touch(new, file)
    return f"runs archive and unarchive {run}: {brought.code}"


def export(stage: Stage) -> str:
    """Predictions are those of the run's best weights on its own images, or refused."""
    if not (run := stage.a_run()):
        return ""
    argv = ("export", run, "--output", "p.csv", "--overwrite", "--json")
    program = stage.command(*argv)
    if program.code == 0 and (found := stage.memory.known.get(run)):
        told = json.loads(program.out[program.out.index("{") :])
        demo = found[1] == "demo"
        if told["synthetic"] != demo:
            stage.memory.complaints.append(
                f"export of {run}, trained on {found[1]}, says synthetic is {told['synthetic']}"
            )
    return f"export {run}: {program.code}"


def read(stage: Stage) -> str:
    """A command that only reads; it has to end well, or with a sentence."""
    run = stage.a_run() or "last"
    argv = stage.rng.choice(
        (
            ["runs", "list", "--json"],
            ["runs", "show", run],
            ["runs", "show", run, "--spec"],
            ["runs", "stats", "--json"],
            ["runs", "compare", *stage.ids()[:3]],
            ["runs", "save", "--output", "s.csv", "--overwrite"],
            ["lab", "show", "lab1-baseline", "--json"],
            ["lab", "list"],
            ["inspect", run, "--json"],
            ["weights", run, "--json"],
        )
    )
    host = ANOTHER_HOST if stage.rng.random() < 0.2 else ""
    program = stage.command(*argv, host=host)
    return f"{' '.join(argv)}{f' on {host}' if host else ''}: {program.code}"


def lab(stage: Stage) -> str:
    """Train what an experiment lacks, and see what it answers."""
    rng = stage.rng
    argv = ["lab", "run", "lab1-baseline", "--epochs", "2"]
    if rng.random() < 0.4:
        argv += ["--data", rng.choice(list(stage.references.sets.values()))]
    if rng.random() < 0.4:
        program = stage.command(*argv, "--detach")
        return f"{' '.join(argv)} --detach: {program.code}"
    program = stage.world.start(*argv)
    return f"{' '.join(argv)}: {stage.disturb(program)}"


def send(stage: Stage) -> str:
    """A signal to one of the processes, at a random instant."""
    processes = stage.world.processes()
    if not processes:
        return ""
    time.sleep(stage.rng.uniform(0, 0.3))
    pid = stage.rng.choice(sorted(processes))
    what = stage.rng.choice(("KILL", "KILL", "TERM", "INT", "HUP", "STOP", "CONT"))
    number = signal.Signals[f"SIG{what}"]
    for program in stage.world.programs:
        if program.pid == pid:
            program.send(number)
            return f"SIG{what} to {processes[pid]}"
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    return f"SIG{what} to {processes[pid]} in the background"


def wait_a_little(stage: Stage) -> str:
    """Time in which runs go on."""
    seconds = stage.rng.uniform(0, 0.6)
    time.sleep(seconds)
    return f"{seconds:.2f} s pass"


def watch(stage: Stage) -> str:
    """Follow a run for a moment; leaving leaves it alone."""
    if not (run := stage.a_run()):
        return ""
    program = stage.world.start("runs", "watch", run)
    if not program.wait(stage.rng.uniform(0, 0.5)):
        program.send(signal.SIGINT)
        if not program.wait(5.0):
            program.send(signal.SIGKILL)
            program.wait(5.0)
            stage.memory.complaints.append("runs watch did not end within 5 s of SIGINT")
    return f"runs watch {run}: {program.code}"


COMMANDS: dict[Callable[[Stage], str], int] = {
    train: 22,
    resume: 14,
    resume_twice: 3,
    order: 10,
    note: 6,
    throw_away: 6,
    keep: 5,
    export: 5,
    read: 8,
    lab: 5,
    send: 8,
    wait_a_little: 6,
    watch: 2,
}
"""How often each is chosen, beside the others."""
