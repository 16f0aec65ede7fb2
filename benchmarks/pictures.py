"""Makes the pictures of README and docs from a real session: `python -m benchmarks.pictures`.

It trains some runs in a temporary folder, opens the app over them, presses keys, and writes what
the screens show. Without `--data` the images are the demo set, and the pictures say so.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

from textual.pilot import Pilot

from benchmarks.svg import Frame, Picture
from cifar_tui.app import CifarApp
from cifar_tui.errors import UserError
from cifar_tui.features.labs.experiments import Scale
from cifar_tui.queue.queue import ThreadQueue
from cifar_tui.training.process import program

OUTPUT = Path("docs/pictures")
SIZE, WIDE, HIGH = (100, 30), (132, 34), (100, 40)
SCALE = Scale(epochs=6, subset=5000)
"""Of the lab book's experiments; its screens say so."""
SMALL = ("--epochs", "8", "--subset", "5000")
TRAINED = (
    ("train", *SMALL, "--grid", "lr=0.1,0.03,0.003", "--grid", "batch-norm=no,yes")
    + ("--grid", "seed=0,1,2"),
    ("train", "--epochs", "4", "--subset", "5000", "--lr", "100"),
    ("lab", "run", "lab1", "lab2-bn-lr", "lab2-swish", "lab2-l1")
    + ("--epochs", "6", "--subset", "5000"),
    ("train", "--name", "bn aug cosine", "--batch-norm", "--augment", "--lr", "0.05")
    + ("--schedule", "cosine", "--epochs", "12"),
)
"""Commands whose runs the pictures show."""
STILLS: dict[str, tuple[tuple[int, int], str, tuple[str, ...]]] = {
    "new": (
        SIZE,
        "New run: several values in a field make a grid",
        ("click lr", "type 0.1,0.03,0.01", "click batch_norm", "type no,yes"),
    ),
    "history": (
        WIDE,
        "History: every run, and what tells it apart",
        ("f4", "until finished", "filter -lab"),
    ),
    "compare": (
        SIZE,
        "Compare: the mean of three seeds with a band of one standard deviation",
        ("f4", "until finished", "filter epochs=8 lr<0.1 bn", "mark 6", "c", "until differ", "u"),
    ),
    "lab": (SIZE, "Lab: the assignment's experiments", ("f12", "until lab3", "until yes")),
    "experiment": (
        SIZE,
        "An experiment: its question, its runs, its answer",
        ("f12", "until lab3", "down", "down", "down", "down", "enter", "until bn lr 0.1"),
    ),
    "confusion": (
        SIZE,
        "Which classes are taken for which others",
        ("f4", "until finished", "filter name:cosine", "i", "4", "until recall"),
    ),
    "worst": (
        HIGH,
        "The images that the net gets most wrong",
        ("f4", "until finished", "filter name:cosine", "i", "6", "until surest first"),
    ),
    "weights": (
        SIZE,
        "Weights: a net trained with L1 beside one with L2",
        ("f4", "until finished", "filter bn lr=0.01 epochs=6", "mark 2", "w", "until conv1"),
    ),
    "surface": (
        SIZE,
        "The loss around the best weights, with batch norm and without",
        (
            "f4",
            "until finished",
            "filter epochs=8 seed=0 lr=0.03",
            "mark 2",
            "v",
            "until B simplenn",
        ),
    ),
    "effects": (
        SIZE,
        "What mattered: the effect of each setting, and how sure it is",
        ("f4", "until finished", "filter epochs=8", "W", "until matters"),
    ),
    "devices": (
        SIZE,
        "Devices: who is using what",
        ("click epochs", "type 200", "enter", "until train_loss", "wait 8", "f6", "until busy"),
    ),
}
"""Each still's size, title and steps: a key, or a word with what it is about."""
MORE: dict[str, tuple[tuple[int, int], str, tuple[str, ...]]] = {
    "help": (SIZE, "Help", ("f1",)),
    "palette": (SIZE, "Palette", ("ctrl+p",)),
    "grid": (SIZE, "A grid before its launch", ("click seed", "type 0-9", "f5")),
    "layers": (SIZE, "Layers", ("f7", "wait 2")),
    "board": (
        SIZE,
        "Live",
        ("click epochs", "type 200", "click seed", "type 0-3", "enter", "until train_loss"),
    ),
    "page": (SIZE, "A run", ("f4", "until finished", "enter", "wait 1")),
    "settings": (SIZE, "Settings of a run", ("f4", "until finished", "i", "wait 1")),
    "export": (SIZE, "Export", ("f4", "until finished", "e", "wait 1")),
}
"""Other screens, looked at in every size."""
SIZES = ((60, 20), (80, 24), (140, 40), (200, 60))
THEMES = ("textual-dark", "textual-light")
TRAINING = ("devices", "board")
"""What trains a run of its own."""
FAILED = 1
"""Exit code of a command whose run failed or diverged, as one of them is to."""
PATIENCE = 120.0
"""Seconds after which a screen is given up."""
SMALL_PATIENCE = 8.0
MOST_FRAMES = 40
"""Of a run in training in the moving picture."""
Session = Pilot[None]


def train(folder: Path, data: str) -> None:
    """Train the runs, each command as a user would type it."""
    for command in TRAINED:
        print(" ".join(command), file=sys.stderr, flush=True)
        runs = ("--data", data, "--runs", str(folder))
        done = subprocess.run(program(*command, *runs), check=False, stdout=subprocess.DEVNULL)
        if done.returncode not in (0, FAILED):
            raise UserError("The runs of the pictures were not trained.")


@asynccontextmanager
async def session(
    folder: Path, data: str, size: tuple[int, int]
) -> AsyncIterator[tuple[CifarApp, Session]]:
    """The app in a terminal of this size; what it trains is stopped at the end."""
    app = CifarApp(folder, data, ThreadQueue())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot
    app.worker.close()
    app.worker.join()


async def until(pilot: Session, seen: str, seconds: float = PATIENCE) -> None:
    """Let the app work until a text stands on its screen; raises UserError when it does not."""
    end = time.monotonic() + seconds
    while seen not in screen_text(pilot):
        if time.monotonic() > end:
            raise UserError(f"'{seen}' does not come:\n{screen_text(pilot)}")
        await pilot.pause(0.1)


def screen_text(pilot: Session) -> str:
    """What a person would read."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


async def step(app: CifarApp, pilot: Session, what: str, seconds: float = PATIENCE) -> None:
    """Press a key, or do what the first word says with the rest."""
    verb, _, rest = what.partition(" ")
    if not rest:
        await pilot.press(verb)
    elif verb == "until":
        await until(pilot, rest, seconds)
    elif verb == "wait":
        await pilot.pause(float(rest))
    elif verb == "click":
        await pilot.click(f"#field-{rest} Input")
    elif verb == "type":
        await pilot.press("end", "ctrl+u", *rest)
    elif verb == "filter":
        await pilot.press("slash", "ctrl+u", *rest, "enter")
    elif verb == "mark":
        for _ in range(int(rest)):
            await pilot.press("space", "down")
    await pilot.pause(0.3)


async def still(
    folder: Path, data: str, name: str, size: tuple[int, int] | None = None, theme: str = THEMES[0]
) -> str:
    """One of STILLS or MORE as a picture."""
    usual, title, steps = (STILLS | MORE)[name]
    async with session(folder, data, size or usual) as (app, pilot):
        app.lab_scale, app.theme = SCALE, theme
        for what in steps:
            try:
                await step(app, pilot, what, PATIENCE if size is None else SMALL_PATIENCE)
            except UserError:
                if size is None:  # in another size the text may have no room
                    raise
        await pilot.pause(1.0)
        picture = Picture()
        return picture.still(picture.frame(app, title))


def thinned(frames: list[Frame]) -> list[Frame]:
    """At most MOST_FRAMES of them, evenly; the first and the last stay."""
    number = min(len(frames), MOST_FRAMES)
    return [frames[round(i * (len(frames) - 1) / max(1, number - 1))] for i in range(number)]


async def movie(folder: Path, data: str) -> str:
    """A grid of three runs set up, launched, watched, found again and compared."""
    picture, frames = Picture(), list[Frame]()
    async with session(folder, data, SIZE) as (app, pilot):

        def show(title: str, seconds: float) -> None:
            frames.append(picture.frame(app, title, seconds))

        show("Enter trains. Everything that can be set is on one screen", 2.5)
        await step(app, pilot, "click batch_norm")
        await step(app, pilot, "type yes")
        show("Batch norm on", 1.2)
        await step(app, pilot, "click lr")
        await step(app, pilot, "type 0")
        for character in ".1,0.01,0.001":
            await pilot.press(character)
            show("Several values make a grid", 0.15)
        show("Several values make a grid", 1.5)
        for name, value in (("epochs", "8"), ("subset", "4000")):
            await step(app, pilot, f"click {name}")
            await step(app, pilot, f"type {value}")
        show("Enter launches all three", 1.5)
        await pilot.press("enter")
        await until(pilot, "train_loss")
        first = len(frames)
        while app.worker.own:
            await pilot.pause(0.5)
            show("Live: curves, epochs, speed and time left (sped up)", 0.25)
        frames[first:] = thinned(frames[first:])
        await pilot.press("f4")
        await pilot.pause(2.0)
        show("History: all runs", 2.5)
        for _ in range(3):
            await step(app, pilot, "mark 1")
            show("Space marks", 0.5)
        await pilot.press("c")
        await until(pilot, "differ")
        await pilot.pause(1.0)
        show("c compares them", 2.5)
        for _ in range(4):
            await step(app, pilot, "comma")
            show("A cursor reads every curve at one epoch", 0.6)
        show("A cursor reads every curve at one epoch", 3.0)
    return picture.moving(frames)


def main() -> None:
    """Train, then write the pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("--data", default="demo", help="folder with images, or demo")
    parser.add_argument("--runs", type=Path, help="keep the runs here, and use those that are here")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--only", help="names of pictures, separated by commas")
    parser.add_argument(
        "--every-size", action="store_true", help="all screens in four sizes and two themes"
    )
    given = parser.parse_args()
    usual = [*STILLS, *MORE] if given.every_size else ["session", *STILLS]
    wanted = given.only.split(",") if given.only else usual
    output, data = given.output.resolve(), given.data
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {"CIFAR_TUI_LOCKS": scratch, "XDG_CONFIG_HOME": scratch}
        runs = (given.runs or Path(scratch) / "saved_model").resolve()
        if data != "demo":
            images = Path(data).resolve()
            (Path(scratch) / "data").symlink_to(images)
            data = str(images)
        if not runs.is_dir():
            train(runs, data)
        os.chdir(scratch)  # where the form shows the folder by its usual name
        data = data if data == "demo" else "data"
        for name in wanted:
            print(name, file=sys.stderr, flush=True)
            own = Path(scratch) / "own"
            folder = own if name in TRAINING else runs
            if given.every_size:
                for size, theme in product(SIZES, THEMES):
                    svg = asyncio.run(still(folder, data, name, size, theme))
                    shape = f"{size[0]}x{size[1]}-{theme.removeprefix('textual-')}"
                    (output / f"{name}-{shape}.svg").write_text(svg, encoding="utf-8")
                continue
            make = movie(own, data) if name == "session" else still(folder, data, name)
            (output / f"{name}.svg").write_text(asyncio.run(make), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except UserError as why:
        sys.exit(str(why))
