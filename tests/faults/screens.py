"""The app in a terminal: screens visited, its window resized, and every way that it may end."""

import fcntl
import signal
import struct
import termios
from collections.abc import Callable

from tests.faults.actions import Stage
from tests.faults.world import Program

SCREENS = ("\x1bOQ", "\x1bOR", "\x1bOS", "\x1b[24~", "\x1b[17~")
"""F2, F3, F4, F12 and F6."""
KEYS = (
    *SCREENS,
    "\x1b[A",
    "\x1b[B",
    "\x1b[C",
    "\x1b[D",
    "\x1b",
    "\r",
    "\t",
    *" ucgmoOkpwivWf,.<>?[]B/1235=",
)
"""What is pressed at random: nothing here deletes."""
START = 0.8
"""Seconds in which the first screen comes."""


def app(stage: Stage) -> str:
    """Open the app, press keys, resize, and let it end or leave it open."""
    rng, world = stage.rng, stage.world
    argv: list[str] = []
    if rng.random() < 0.7:
        argv = ["train", "--app", "--epochs", rng.choice(("8", "30")), "--lr", "0.05"]
        argv += ["--grid", "seed=0,1"] if rng.random() < 0.3 else []
    raising = rng.random() < 0.2
    program = world.open_screen(*argv, prepare=_raise_in_a_screen if raising else None)
    _resize(program, 80, 24)
    world.read_screen(program, START + rng.random() * 0.5)
    for _ in range(rng.randint(2, 14)):
        if rng.random() < 0.15:
            _resize(program, rng.choice((30, 70, 80, 140)), rng.choice((8, 24, 50)))
        program.type(rng.choice(SCREENS if rng.random() < 0.4 else KEYS))
        world.read_screen(program, rng.choice((0.01, 0.03, 0.2)))
    stage.memory.may_stop = True  # some of the keys may have asked for it
    end = (
        "an exception"
        if raising
        else rng.choice(("quit", "background", "line", "HUP", "TERM", "KILL", "stay"))
    )
    ENDS.get(end, _send)(stage, program, end)
    return f"the app {' '.join(argv)}: {end}"


def _raise_in_a_screen() -> None:
    """Have the key for help raise, as an error in any widget would."""
    from cifar_tui.app import CifarApp

    def raises(self: object) -> None:
        raise RuntimeError("raised on purpose")

    CifarApp.action_help = raises  # type: ignore[method-assign,assignment]


def _send(stage: Stage, program: Program, what: str) -> None:
    program.send(signal.Signals[f"SIG{what}"])
    stage.world.read_screen(program, 0.5)


def _raise(stage: Stage, program: Program, what: str) -> None:
    program.expected = "raised on purpose"
    for key in ("\x1b", "\x1b", "\x1bOP"):
        program.type(key)
        stage.world.read_screen(program, 0.2)
    stage.world.read_screen(program, 0.8)


def _quit(stage: Stage, program: Program, what: str) -> None:
    for key in ("\x1b", "\x1b", "\x1b[21~", "s" if what == "quit" else "b"):
        program.type(key)
        stage.world.read_screen(program, 0.25)
    stage.world.read_screen(program, 1.0)


def _drop(stage: Stage, program: Program, what: str) -> None:
    program.expected = "Input/output error"  # seen by nobody: the terminal is gone
    program.close_screen()
    program.wait(0.5)


def _stay(stage: Stage, program: Program, what: str) -> None:
    stage.world.read_screen(program, 0.1)


ENDS: dict[str, Callable[[Stage, Program, str], None]] = {
    "an exception": _raise,
    "quit": _quit,
    "background": _quit,
    "line": _drop,
    "stay": _stay,
}


def _resize(program: Program, columns: int, rows: int) -> None:
    if program.screen is not None and not program.ended:
        fcntl.ioctl(program.screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
