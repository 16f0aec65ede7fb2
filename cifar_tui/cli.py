"""The commands: they read their flags, call the core, and print; no logic of their own."""

import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError, UnusedCliTokensError

from cifar_tui import __version__
from cifar_tui.console import printing
from cifar_tui.console.flags import (
    ANY_BACKEND,
    RUNS,
    AnyRuns,
    DataDir,
    Json,
    OnBackend,
    RunsDir,
    spec_flags,
)
from cifar_tui.errors import UserError
from cifar_tui.features.bench.command import bench_command
from cifar_tui.features.compare import command as compare
from cifar_tui.features.devices import command as devices
from cifar_tui.features.effects import command as stats
from cifar_tui.features.history import command as finding
from cifar_tui.features.history.run_command import runs_app
from cifar_tui.features.inspect import command as evaluation
from cifar_tui.features.labs.command import lab_app
from cifar_tui.features.predict import command as predict
from cifar_tui.features.save import command as save
from cifar_tui.features.storage import command as keep
from cifar_tui.features.weights import command as nets
from cifar_tui.queue.choices import ANY, Wish
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.spec.naming import read_toml
from cifar_tui.spec.settings import make_spec
from cifar_tui.spec.spec import RunSpec
from cifar_tui.terminal import let_go
from cifar_tui.text import plain

if TYPE_CHECKING:
    SpecFlags = Any
    NO_FLAGS: Any = None
else:
    SpecFlags = spec_flags()
    NO_FLAGS = SpecFlags()


app = App(
    name="cifar-tui",
    version=__version__,
    help="Set up, launch, watch, compare and hand in CIFAR-10 training runs.\n\n"
    "Without a command it opens the app.",
)
OTHER_NAMES = {"--learning-rate": "--lr", "--weight-decay": "--l2", "--wd": "--l2"}
"""What others call some flags."""
data_app = App(name="data", help="Show the images that would be used; `download` gets CIFAR-10.")
app.command(runs_app)
app.command(data_app)
app.command(lab_app)
nets.register(app)
save.register(runs_app)
keep.register(runs_app)
predict.register(app, runs_app)
finding.register(runs_app)
compare.register(runs_app)
stats.register(runs_app)
evaluation.register(app)
devices.register(app)


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


def complain(sentence: str) -> None:
    """Print one sentence to stderr."""
    print(f"cifar-tui: {plain(sentence)}", file=sys.stderr)


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
        from cifar_tui.queue.slot_process import serve_stdin

        return serve_stdin(runs)
    if in_slurm:
        from cifar_tui.queue.cluster.slurm_job import train_in_job

        return train_in_job(runs, *run)
    known = Runs(runs)
    folders = [RunFolder(known.find(wanted).path) for wanted in run]
    begun = detached.say_begun if announce else lambda: None
    return headless.train_folders(folders, runs, SilentPrinter(), on.wish(), begun)


@app.command
def summary(
    *,
    settings: Annotated[SpecFlags, Parameter(name="*")] = NO_FLAGS,
    answers: Annotated[
        bool, Parameter(negative=(), help="Also answer the assignment's computation questions.")
    ] = False,
    json: Json = False,
    runs: AnyRuns = RUNS,
) -> None:
    """Show a model layer by layer: shapes, parameters, multiply-adds."""
    from cifar_tui.models.layer_table import computation_answers, summarise_spec

    flags = dataclasses.asdict(settings)
    spec = make_spec({k: v for k, v in flags.items() if v is not None})
    found = summarise_spec(spec)
    asked = computation_answers() if answers else []
    if json:
        printing.print_json(
            found.to_dict() | ({"answers": [dataclasses.asdict(a) for a in asked]} if asked else {})
        )
    else:
        printing.print_summary(spec, found, asked)


@data_app.default
def data_show(*, data: DataDir = "data", json: Json = False, runs: AnyRuns = RUNS) -> None:
    """Show splits, class counts, channel statistics and fingerprint of the images."""
    from cifar_tui.data.dataset import describe
    from cifar_tui.data.find import find
    from cifar_tui.data.loading import open_dataset

    note = find(data).note
    described = describe(open_dataset(data)) | {"note": note}
    if json:
        printing.print_json(described)
    else:
        printing.print_data(described)


@data_app.command(name="download")
def data_download(*, data: DataDir = "data", json: Json = False, runs: AnyRuns = RUNS) -> None:
    """Get the official CIFAR-10 archive (170 MB); run it again to resume."""
    from cifar_tui.data.official import download

    folder = Path(data)
    with printing.download_progress(json) as tick:
        download(folder, tick)
    printing.say({"folder": str(folder)}, f"CIFAR-10 is in {folder}.", json)


app.command(bench_command, name="bench")


@app.command
def backends(*, json: Json = False, runs: AnyRuns = RUNS) -> None:
    """Show what can train runs here, and what the others lack."""
    from cifar_tui.queue.choices import CHOICES

    found = [
        {"name": c.name, "help": c.help, "why_not": c.why_not(), "options": dict(c.options)}
        for c in CHOICES.values()
    ]
    if json:
        printing.print_json(found)
    else:
        printing.print_backends(found)
