"""The commands: they read their flags, call the core, and print; no logic of their own."""

import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError, UnusedCliTokensError

from cifar_tui import __version__
from cifar_tui.console import printing
from cifar_tui.console.flags import (
    ANY_BACKEND,
    NO_FLAGS,
    RUNS,
    DataDir,
    Json,
    OnBackend,
    RunsDir,
    SpecFlags,
)
from cifar_tui.console.printing import complain
from cifar_tui.errors import UserError
from cifar_tui.features.archive import command as archive
from cifar_tui.features.bench import command as bench
from cifar_tui.features.compare import command as compare
from cifar_tui.features.devices import command as devices
from cifar_tui.features.effects import command as effects
from cifar_tui.features.history import command as history
from cifar_tui.features.import_ import command as import_
from cifar_tui.features.inspect import command as inspect
from cifar_tui.features.labs import command as labs
from cifar_tui.features.new_run import command as new_run
from cifar_tui.features.predict import command as predict
from cifar_tui.features.save import command as save
from cifar_tui.features.surface import command as surface
from cifar_tui.features.weights import command as weights
from cifar_tui.queue.choices import ANY, Wish
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.spec.naming import read_toml
from cifar_tui.spec.settings import RunSpec
from cifar_tui.terminal import let_go

app = App(
    name="cifar-tui",
    version=__version__,
    help="Set up, launch, watch, compare and hand in CIFAR-10 training runs.\n\n"
    "Without a command it opens the app.",
)
OTHER_NAMES = {"--learning-rate": "--lr", "--weight-decay": "--l2", "--wd": "--l2"}
"""What others call some flags."""
GROUPS = {
    "runs": "List, show, compare, steer, delete and restore saved runs.",
    "data": "Show the images that would be used; `download` gets CIFAR-10.",
    "lab": "The assignment's experiments: list, show, run and report them.",
}
"""Commands with commands of their own."""
FEATURES = (
    *(bench, compare, devices, effects, history, import_, inspect, labs, new_run, predict),
    *(archive, save, surface, weights),
)


def _register() -> None:
    """Add the features' commands, named as they are typed."""
    groups = {name: App(name=name, help=text) for name, text in GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for feature in FEATURES:
        for name, command in feature.COMMANDS.items():
            group, _, own = name.rpartition(" ")
            if name in groups:
                groups[name].default(command)
            else:
                (groups[group] if group else app).command(command, name=own)


_register()

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C."""


def main() -> None:
    """Run one command; what the user did wrong is one sentence on stderr and exit code 2.

    After Ctrl-C it ends at once, whatever is still being imported and however often it is pressed.
    """
    try:
        code = run(sys.argv[1:], _hear_ctrl_c)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _hear_ctrl_c() -> None:
    """Let Ctrl-C interrupt a command; while its flags are read, pydantic would swallow it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run(arguments: Sequence[str], begin: Callable[[], object] = lambda: None) -> int:
    """Run one command, after `begin` once its flags are read, and return its exit code."""
    try:
        command, given, _ = app.parse_args(list(arguments), exit_on_error=False, print_error=False)
        begin()
        code = command(*given.args, **given.kwargs)
        sys.stdout.flush()
        return int(code or 0)
    except UnusedCliTokensError as error:
        unused = " ".join(error.unused_tokens or [])
        complain(f"'{unused}' is not understood here. See `cifar-tui --help`.")
    except UnknownOptionError as error:
        flag = error.token.keyword or ""
        meant = OTHER_NAMES.get(flag)
        hint = f"Unknown option: {flag}. Did you mean {meant}?" if meant else str(error)
        complain(f"{printing.one_line(hint)} See `cifar-tui --help`.")
    except CycloptsError as error:
        complain(f"{printing.one_line(str(error))} See `cifar-tui --help`.")
    except UserError as error:
        complain(str(error))
    except BrokenPipeError:
        let_go((1,))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 2


@app.default
def open_app(*, data: DataDir = "data", on: OnBackend = ANY_BACKEND, runs: RunsDir = RUNS) -> None:
    """Open the app."""
    _open(runs, data, wish=on.wish())


def _open(runs: Path, data: str, watch: Sequence[RunSpec] = (), wish: Wish = ANY) -> None:
    from cifar_tui.terminal import Terminal

    terminal = Terminal()
    terminal.fork()
    from cifar_tui.start import open_app

    open_app(runs, data, watch, wish, terminal)


@app.command(show=False)
def worker(
    *run: str,
    on: OnBackend = ANY_BACKEND,
    serve: Annotated[bool, Parameter(negative=(), help="Train what standard input names.")] = False,
    in_slurm: Annotated[
        bool, Parameter(negative=(), help="Give a run back to Slurm's queue when told to end.")
    ] = False,
    announce: Annotated[
        bool, Parameter(negative=(), help="Say on standard output when training can begin.")
    ] = False,
    runs: RunsDir = RUNS,
) -> int:
    """Train queued runs without a terminal: what a run in the background is."""
    from cifar_tui.console.progress import SilentPrinter
    from cifar_tui.queue import detached, headless

    if serve:
        from cifar_tui.queue.processes import serve_stdin

        return serve_stdin(runs)
    if in_slurm:
        from cifar_tui.queue.cluster.slurm_job import train_in_job

        return train_in_job(runs, *run)
    known = Runs(runs)
    folders = [RunFolder(known.find(wanted).path) for wanted in run]
    begun = detached.say_begun if announce else lambda: None
    return headless.train_folders(folders, runs, SilentPrinter(), on.wish(), begun)


@app.command
def train(
    *,
    settings: Annotated[SpecFlags, Parameter(name="*")] = NO_FLAGS,
    spec: Annotated[
        Path | None, Parameter(help="Read settings from a TOML file; flags win.")
    ] = None,
    grid: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(), help="Several values for one setting, like lr=0.1,0.01; may be repeated."
        ),
    ] = (),
    app: Annotated[bool, Parameter(negative=(), help="Watch it in the app.")] = False,
    detach: Annotated[
        bool, Parameter(negative=(), help="Train in the background and return at once.")
    ] = False,
    on: OnBackend = ANY_BACKEND,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> int:
    """Train one run, or a grid of runs one after another or on several devices."""
    from cifar_tui.console.progress import train_printer
    from cifar_tui.queue import headless

    given = {} if spec is None else read_toml(spec)
    flags = dataclasses.asdict(settings)
    given |= {name: value for name, value in flags.items() if value is not None}
    specs = headless.plan(given, grid)
    if app:
        _open(runs, specs[0].data, specs, on.wish())
        return 0
    if detach:
        ids = headless.detach(specs, runs, on.wish())
        hint = "`cifar-tui runs watch RUN` shows one, `cifar-tui` all."
        printing.say({"runs": ids}, f"In the background: {', '.join(ids)}.\n{hint}", json)
        return 0
    printer = train_printer(json)
    return headless.train_all(specs, runs, printer, on.wish())
