"""The commands: they read their flags, call the core, and print; no logic of their own."""

import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.argument import ArgumentCollection, Token

from cifar_tui import __version__
from cifar_tui.config import Config, read_config
from cifar_tui.console import printing
from cifar_tui.console.completion import Shell, completion_script
from cifar_tui.console.flags import (
    ANY_BACKEND,
    EVERYWHERE,
    NO_FLAGS,
    OPTIONS,
    RUNS,
    DataDir,
    Json,
    OnBackend,
    RunsDir,
    SpecFlags,
)
from cifar_tui.console.help import SectionFormatter, examples, examples_text, shown_default
from cifar_tui.console.printing import complain
from cifar_tui.console.usage import options_last, what_is_wrong
from cifar_tui.errors import UserError
from cifar_tui.features.archive import command as archive
from cifar_tui.features.bench import command as bench
from cifar_tui.features.compare import command as compare
from cifar_tui.features.config import command as config
from cifar_tui.features.devices import command as devices
from cifar_tui.features.effects import command as effects
from cifar_tui.features.history import command as history
from cifar_tui.features.images import command as images
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
    help_format="plaintext",
    help_formatter=SectionFormatter(),
    group_arguments=Group("Arguments", sort_key=-1),
    group_parameters=OPTIONS,
    default_parameter=Parameter(show_default=shown_default),
)
app["--help"].group = app["--version"].group = (EVERYWHERE,)
MORE = "`cifar-tui{} COMMAND --help` shows a command's flags, with examples."
GROUPS = {
    "runs": "List, show, compare, steer, delete and restore saved runs.",
    "data": "Show the images that would be used; `download` gets CIFAR-10.",
    "config": "Show, explain and change the configuration file.",
    "lab": "The assignment's experiments: list, show, run and report them.",
}
"""Commands with commands of their own."""
FEATURES = (
    *(bench, compare, config, devices, effects, history, images, import_, inspect, labs, new_run),
    *(predict, archive, save, surface, weights),
)
SECTIONS = {
    "Train": ("train", "lab"),
    "Saved runs": ("runs", "export", "inspect", "weights", "surface", "import"),
    "Images and models": ("data", "summary"),
    "This machine": ("devices", "backends", "bench", "config", "completion"),
    "Look": tuple(f"runs {name}" for name in ("list", "show", "compare", "stats", "agree")),
    "While they train": tuple(f"runs {name}" for name in ("watch", "pause", "resume", "stop")),
    "Name and keep": tuple(f"runs {name}" for name in ("note", "pin", "unpin", "fields")),
    "Make room": tuple(
        f"runs {name}" for name in ("delete", "restore", "empty-trash", "keep-best")
    ),
    "Take elsewhere": tuple(f"runs {name}" for name in ("save", "archive", "unarchive")),
}
"""The commands under the titles of `--help`, in its order."""


def _register(commands: Mapping[str, Callable[..., Any]]) -> None:
    """Add commands, named as they are typed, to the sections of `--help`."""
    places: dict[str, dict[str, Any]] = {}
    for number, (title, names) in enumerate(SECTIONS.items()):
        section = Group(title, sort_key=number - len(SECTIONS))
        places |= {n: {"group": section, "sort_key": i} for i, n in enumerate(names)}
    groups = {
        name: App(name=name, help=text, help_epilogue=MORE.format(f" {name}"), **places[name])
        for name, text in GROUPS.items()
    }
    for group in groups.values():
        app.command(group)
    for name, command in commands.items():
        parent, _, own = name.rpartition(" ")
        shown = {"help_epilogue": examples_text(command)}
        if name in groups:
            groups[name].default(command)
            groups[name].help_epilogue = shown["help_epilogue"]
        else:
            (groups[parent] if parent else app).command(
                command, name=own, **shown, **places.get(name, {})
            )


def _folders_of_config(_: App, commands: Sequence[str], arguments: ArgumentCollection) -> None:
    """Take --runs and --data from the configuration where they are not given."""
    if commands[:1] == ("config",):
        return
    found = read_config()
    for argument in arguments:
        folder = {"--runs": found.runs, "--data": found.data}.get(argument.name, "")
        if folder and not argument.tokens and argument.field_info.default is not None:
            argument.append(Token(keyword=argument.name, value=folder, source="configuration"))


app.config = (_folders_of_config,)

COMPLETE = "__complete"
"""What a completion script says before the words typed so far."""
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
    typed = options_last(app, arguments)
    if arguments[:1] == [COMPLETE]:
        typed = [COMPLETE, *options_last(app, arguments[1:-1]), *arguments[-1:]]
    try:
        command, given, _ = app.parse_args(typed, exit_on_error=False, print_error=False)
        begin()
        code = command(*given.args, **given.kwargs)
        sys.stdout.flush()
        return int(code or 0)
    except CycloptsError as error:
        complain(what_is_wrong(app, typed, error))
    except UserError as error:
        complain(str(error))
    except BrokenPipeError:
        let_go((1,))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 2


@app.default
@examples(
    "",
    "--runs /scratch/me/runs --devices all",
    "train --batch-norm --augment --lr 0.05",
    'runs list --filter "bn lr>=0.05"',
)
def open_app(
    *,
    data: DataDir = "data",
    read_only: Annotated[
        bool, Parameter(negative=(), help="Only look: start, stop, change and delete nothing.")
    ] = False,
    on: OnBackend = ANY_BACKEND,
    runs: RunsDir = RUNS,
) -> None:
    """Open the app."""
    config = read_config()
    if read_only:
        config = config.model_copy(update={"read_only": True})
    _open(runs, data, config, wish=on.wish())


def _open(
    runs: Path, data: str, config: Config, watch: Sequence[RunSpec] = (), wish: Wish = ANY
) -> None:
    from cifar_tui.terminal import Terminal

    terminal = Terminal()
    terminal.fork()
    from cifar_tui.tui import keys

    keys.rebind(config.all_keys)
    from cifar_tui.start import open_app

    open_app(runs, data, watch, wish, terminal, config)


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
    from cifar_tui.queue import headless

    if serve:
        from cifar_tui.queue.processes import serve_stdin

        return serve_stdin(runs)
    if in_slurm:
        from cifar_tui.queue.cluster.slurm_job import train_in_job

        return train_in_job(runs, *run)
    known = Runs(runs)
    folders = [RunFolder(known.find(wanted).path) for wanted in run]
    begun = headless.say_begun if announce else lambda: None
    return headless.train_folders(folders, runs, SilentPrinter(), on.wish(), begun)


@examples(
    "train --batch-norm --augment --lr 0.05",
    "train --model resnet --lr 0.1 --schedule milestones --epochs 200",
    "train --grid lr=0.1,0.01 --grid seed=0,1,2 --dry-run",
    "train --spec my.toml --seed 3 --detach",
)
def train(
    *,
    settings: Annotated[SpecFlags, Parameter(name="*")] = NO_FLAGS,
    spec: Annotated[
        Path | None,
        Parameter(help="A TOML file of settings, or a preset's name; flags win.", metavar="FILE"),
    ] = None,
    grid: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            metavar="NAME=VALUES",
            help="Several values for one setting, like lr=0.1,0.01; may be repeated.",
        ),
    ] = (),
    dry_run: Annotated[
        bool, Parameter(negative=(), help="Only say what would be trained, and about how long.")
    ] = False,
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
    from cifar_tui.features.new_run.presets import spec_path
    from cifar_tui.queue import headless

    given = {} if spec is None else read_toml(spec_path(spec))
    found = read_config()
    if found.data:
        given.setdefault("data", found.data)
    flags = dataclasses.asdict(settings)
    given |= {name: value for name, value in flags.items() if value is not None}
    specs = headless.plan(given, grid)
    if dry_run:
        new_run.print_plan(specs, runs, on.wish(), json)
        return 0
    if app:
        _open(runs, specs[0].data, found, specs, on.wish())
        return 0
    if detach:
        ids = headless.detach(specs, runs, on.wish())
        hint = "`cifar-tui runs watch RUN` shows one, `cifar-tui` all."
        printing.say({"runs": ids}, f"In the background: {', '.join(ids)}.\n{hint}", json)
        return 0
    printer = train_printer(json)
    return headless.train_all(specs, runs, printer, on.wish())


@examples(
    "completion bash",
)
def completion(
    shell: Annotated[Shell, Parameter(name="SHELL", help="The shell that the script is for.")], /
) -> None:
    """Print a script with which Tab completes commands, flags, runs and labs.

    Write it where your shell finds it, and open a new shell:

    bash  cifar-tui completion bash > ~/.cifar-tui.bash
          and `source ~/.cifar-tui.bash` at the end of ~/.bashrc
    zsh   mkdir -p ~/.zfunc; cifar-tui completion zsh > ~/.zfunc/_cifar-tui
          and `fpath+=~/.zfunc; autoload -Uz compinit; compinit` in ~/.zshrc
    fish  cifar-tui completion fish > ~/.config/fish/completions/cifar-tui.fish

    Write it again after an update of cifar-tui.
    """
    print(completion_script(app, shell))


COMMANDS = {"train": train, "completion": completion} | {
    name: command for feature in FEATURES for name, command in feature.COMMANDS.items()
}
_register(COMMANDS)
app.help_epilogue = f"{examples_text(open_app)}\n\n{MORE.format('')}"
