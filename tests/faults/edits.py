"""What happens to files behind the program's back: edits, swaps, damage, and time."""

import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.runs.folder import RunFolder
from tests.faults.actions import Stage
from tests.faults.damage import damaged

DAMAGED = (
    *("summary.json", "events.jsonl", "progress.json", "notes.json", "meta.json", "spec.toml"),
    *("control", "last.pt", "best.pt"),
)
HOSTILE = (
    b"[" * 5000,
    b'{"status": "finished", "epochs_done": 3, "best": {"epoch": 1, "val_acc": 1.0}}',
    b'{"status": "running", "name": "\x1b[2J", "spec": {}}',
    b"",
)


def images(stage: Stage) -> str:
    """Other images in `data`, none, or the first ones again."""
    data, memory = stage.world.home / "data", stage.memory
    chosen = stage.rng.choice(("demo", "course", "course", "others"))
    if chosen == "demo" or stage.rng.random() < 0.5:
        shutil.rmtree(data, ignore_errors=True)
    if chosen != "demo":
        shutil.copytree(stage.references.sets[chosen], data, dirs_exist_ok=True)
    memory.data = chosen
    return f"data now holds {'nothing' if chosen == 'demo' else f'the {chosen} images'}"


def spec(stage: Stage) -> str:
    """One setting changed in spec.toml, as a user does before a resume."""
    if not (run := stage.a_run()):
        return ""
    path = stage.world.runs / run / "spec.toml"
    try:
        text = path.read_text()
    except (OSError, ValueError):
        return ""
    old, new = stage.rng.choice(
        ((r"^lr = .*$", "lr = 0.2"), (r"^seed = .*$", "seed = 9"), (r"^epochs = .*$", "epochs = 4"))
    )
    with contextlib.suppress(UserError):
        before = RunFolder(path.parent).spec().model_dump(mode="json")
        stage.memory.specs.setdefault(run, []).append(before)
    path.write_text(re.sub(old, new, text, flags=re.M))
    stage.memory.touch(run, "spec.toml")
    return f"spec.toml of {run} says {new}"


def checkpoint(stage: Stage) -> str:
    """Another run's last.pt copied over this one's."""
    run, other = stage.a_run(), stage.a_run()
    source = stage.world.runs / other / "last.pt"
    if run == other or not source.exists():
        return ""
    shutil.copy(source, stage.world.runs / run / "last.pt")
    stage.memory.touch(run, "last.pt")
    return f"last.pt of {other} copied into {run}"


def damage(stage: Stage) -> str:
    """A file cut, flipped, zeroed or replaced."""
    if not (run := stage.a_run()):
        return ""
    path = stage.world.runs / run / stage.rng.choice(DAMAGED)
    try:
        whole = path.read_bytes()
    except OSError:
        return ""
    if not whole:
        return ""
    path.write_bytes(damaged(whole, stage.rng))
    stage.memory.touch(run, path.name)
    return f"{path.name} of {run} damaged"


def torn(stage: Stage) -> str:
    """Half a line left in events.jsonl, as a power cut leaves it."""
    if not (run := stage.a_run()) or stage.world.processes():
        return ""
    path = stage.world.runs / run / "events.jsonl"
    if path.exists():
        with path.open("ab") as file:
            file.write(b'{"event": "epoch", "epo')
    return f"half a line in events.jsonl of {run}"


def remove(stage: Stage) -> str:
    """A run's folder removed, whatever it does at that moment."""
    if not (run := stage.a_run()):
        return ""
    stage.memory.forget(run)
    _rmtree(stage.world.runs / run)
    return f"rm -rf {run}"


def move_runs(stage: Stage) -> str:
    """The folder of all runs renamed, and brought back at once or later."""
    runs, moved = stage.world.runs, stage.world.home / "moved"
    if stage.memory.away:
        bring_back(stage)
        return "saved_model brought back"
    if not runs.exists():
        return ""
    runs.rename(moved)
    time.sleep(stage.rng.uniform(0, 0.3))
    if stage.rng.random() < 0.7 and not runs.exists():
        moved.rename(runs)
        return "saved_model renamed for a moment"
    stage.memory.away = True
    return "saved_model renamed"


def bring_back(stage: Stage) -> None:
    """The folder of runs as it was, with what was made in its place meanwhile."""
    runs, moved = stage.world.runs, stage.world.home / "moved"
    if not stage.memory.away:
        return
    if runs.exists():
        for path in runs.iterdir():
            if not (moved / path.name).exists():
                path.rename(moved / path.name)
        _rmtree(runs)
    moved.rename(runs)
    stage.memory.away = False


def foreign(stage: Stage) -> str:
    """A stranger's folder among the runs."""
    name = stage.rng.choice(("best", "last", "20990101-000000-000000-x", "a folder", "[red]"))
    path = stage.world.runs / name
    if path.exists() or not stage.world.runs.exists():
        return ""
    path.mkdir()
    stage.memory.foreign.add(name)
    for file in stage.rng.sample(DAMAGED[:5], 3):
        (path / file).write_bytes(stage.rng.choice(HOSTILE))
    return f"a stranger's folder {name!r}"


def another_machine(stage: Stage) -> str:
    """The machine starts again, or the folder comes to another one: no process is left."""
    stage.world.signal_all(signal.SIGKILL)
    for program in stage.world.programs:
        program.wait(5.0)
    while stage.world.processes():
        time.sleep(0.01)
    changes = stage.rng.choice(
        ({"boot": "another"}, {"host": "another-host"}, {"pid": os.getpid()})
    )
    for run in stage.ids():
        path = stage.world.runs / run / "progress.json"
        try:
            progress = json.loads(path.read_bytes())
            progress["worker"].update(changes)
            path.write_text(json.dumps(progress))
        except (OSError, ValueError, TypeError, KeyError):
            continue
        long_ago = time.time() - 3600
        os.utime(path, (long_ago, long_ago))
    return f"all killed, and now {', '.join(changes)} is another one"


def device(stage: Stage) -> str:
    """Another program takes the device, or gives it back; files of others where its lock lies."""
    world = stage.world
    if world.locker is not None:
        world.unlock_device()
        return "the device is free again"
    world.lock_device()
    return "another program holds the device"


def _rmtree(path: Path) -> None:
    """Remove a folder into which someone may be writing."""
    for _ in range(100):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            break


EDITS: dict[Callable[[Stage], str], int] = {
    images: 8,
    spec: 4,
    checkpoint: 3,
    damage: 4,
    torn: 2,
    remove: 3,
    move_runs: 2,
    foreign: 2,
    another_machine: 4,
    device: 3,
}
"""How often each is chosen, beside the others."""
