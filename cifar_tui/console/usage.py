"""A command line that is not understood: what is wrong with it, and what was probably meant."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

from cyclopts import App, CycloptsError, UnknownOptionError

from cifar_tui.console.printing import one_line
from cifar_tui.spec.checks import SETTINGS

OTHER_COMMANDS = {
    "run": "train",
    "start": "train",
    "launch": "train",
    "fit": "train",
    "ls": "runs list",
    "ps": "runs list",
    "history": "runs list",
    "log": "runs show",
    "tail": "runs watch",
    "follow": "runs watch",
    "attach": "runs watch",
    "kill": "runs stop",
    "cancel": "runs stop",
    "continue": "runs resume",
    "rm": "runs delete",
    "remove": "runs delete",
    "undelete": "runs restore",
    "rename": "runs note",
    "tag": "runs note",
    "diff": "runs compare",
    "csv": "runs save",
    "predict": "export",
    "submit": "export",
    "evaluate": "inspect",
    "eval": "inspect",
    "confusion": "inspect",
    "load": "import",
    "labs": "lab list",
    "experiments": "lab list",
    "gpu": "devices",
    "gpus": "devices",
    "top": "devices",
    "model": "summary",
    "layers": "summary",
    "benchmark": "bench",
}
"""What other programs call the commands."""
OTHER_FLAGS = {
    "--learning-rate": "--lr",
    "--weight-decay": "--l2",
    "--wd": "--l2",
    "--batchsize": "--batch-size",
    "--batch": "--batch-size",
    "--bs": "--batch-size",
    "--num-epochs": "--epochs",
    "--max-epochs": "--epochs",
    "--arch": "--model",
    "--net": "--model",
    "--network": "--model",
    "--layers": "--depth",
    "--bn": "--batch-norm",
    "--aug": "--augment",
    "--augmentation": "--augment",
    "--act": "--activation",
    "--scheduler": "--schedule",
    "--lr-scheduler": "--schedule",
    "--gamma": "--decay-factor",
    "--step-size": "--decay-every",
    "--warmup-epochs": "--warmup",
    "--patience": "--early-stop",
    "--early-stopping": "--early-stop",
    "--amp": "--precision bf16",
    "--fp16": "--precision bf16",
    "--bf16": "--precision bf16",
    "--gpu": "--device cuda",
    "--cuda": "--device cuda",
    "--gpus": "--devices all",
    "--dataset": "--data",
    "--data-dir": "--data",
    "--save-dir": "--runs",
    "--log-dir": "--runs",
    "--dir": "--runs",
    "--out": "--output",
    "--config": "--spec",
    "--background": "--detach",
    "--tag": "--tags",
    "--force": "--overwrite",
    "--where": "--filter",
    "--query": "--filter",
    "--order-by": "--sort",
    "--sort-by": "--sort",
    "--fields": "--columns",
}
"""What other programs call the flags, and what is to be typed here."""
OPTIMISER = "The optimiser is SGD; --momentum, --nesterov and --l2 set it."
WORKERS = "There are no workers to set: the images stay in memory."
NOT_HERE = {
    "--optimizer": OPTIMISER,
    "--optimiser": OPTIMISER,
    "--opt": OPTIMISER,
    "--workers": WORKERS,
    "--num-workers": WORKERS,
    "--resume": "`cifar-tui runs resume RUN` goes on with a run.",
    "--together": "--devices cuda:0,cuda:1 or --devices cpu:2 trains runs at the same time.",
}
"""What is said of flags that other programs, or earlier versions, have and no command has here."""


class CommandLine(NamedTuple):
    """A command line: the command's words, the options that stood before them, and the rest."""

    words: list[str]
    options: list[str]
    rest: list[str]


def split_line(app: App, arguments: Sequence[str]) -> CommandLine:
    """Tell the words of the command apart from the app's options before and between them."""
    takes_value = {
        name: not argument.is_flag()
        for argument in app.assemble_argument_collection()
        for name in argument.names
    } | {"--json": False}
    line = CommandLine([], [], list(arguments))
    while line.rest:
        first = line.rest[0]
        name, equals, _ = first.partition("=")
        if name in takes_value:
            count = 2 if takes_value[name] and not equals else 1
            line.options.extend(line.rest[:count])
            del line.rest[:count]
        elif first in commands_of(level(app, line.words)):
            line.words.append(line.rest.pop(0))
        else:
            break
    return line


def level(app: App, words: Sequence[str]) -> App:
    """The command or group of these words."""
    for word in words:
        app = app[word]
    return app


def commands_of(app: App) -> list[str]:
    """The names of a group's commands."""
    return [name for name in app if not name.startswith("-") and app[name].show]


def options_last(app: App, arguments: Sequence[str]) -> list[str]:
    """The same command line with the options that stood before the command behind it."""
    line = split_line(app, arguments)
    return [*line.words, *line.options, *line.rest] if line.words else list(arguments)


def what_is_wrong(app: App, arguments: Sequence[str], error: CycloptsError) -> str:
    """One sentence, with what was probably meant, and where help is."""
    line = split_line(app, arguments)
    here = " ".join(["cifar-tui", *line.words])
    word = line.rest[0] if line.rest else ""
    if word and not word.startswith("-") and commands_of(level(app, line.words)):
        sentence = _unknown_command(app, line.words, word)
    elif isinstance(error, UnknownOptionError):
        sentence = _unknown_flag(app, line, error)
    elif unused := " ".join(error.unused_tokens or []):
        sentence = f"'{unused}' is not understood by `{here}`."
    else:
        sentence = one_line(str(error))
    return f"{sentence} See `{here} --help`."


def _unknown_command(app: App, words: Sequence[str], word: str) -> str:
    sentence = f"There is no command '{' '.join([*words, word])}'."
    meant = " or ".join(f"`cifar-tui {name}`" for name in _similar_commands(app, words, word))
    return f"{sentence} Did you mean {meant}?" if meant else sentence


def _similar_commands(app: App, words: Sequence[str], word: str) -> list[str]:
    """Whole commands that may be meant by a word after others, the likeliest only."""
    every = [
        " ".join([name, *own])
        for name in commands_of(app)
        for own in [[], *([sub] for sub in commands_of(app[name]))]
    ]
    other = OTHER_COMMANDS.get(word, "")
    siblings = [*words, other.rpartition(" ")[2]]
    if " ".join(siblings) in every:
        return [" ".join(siblings)]
    if other:
        return [other]
    here = get_close_matches(word, commands_of(level(app, words)), n=1)
    if here:
        return [" ".join([*words, *here])]
    near = get_close_matches(word, {name.rpartition(" ")[2] for name in every}, n=1)
    return [name for name in every if name.rpartition(" ")[2] in near]


def _unknown_flag(app: App, line: CommandLine, error: UnknownOptionError) -> str:
    given = error.token.keyword or error.token.value
    flag = "--" + given.lstrip("-").replace("_", "-")
    known = [name for argument in error.argument_collection for name in argument.names]
    command = next((word for word in line.rest if word in commands_of(app)), "")
    if not line.words and command:
        return f"The options of a command stand behind it: `cifar-tui {command} {given} ...`."
    meant = OTHER_FLAGS.get(flag, flag)
    if meant.split()[0] not in known:
        if flag in NOT_HERE:
            return NOT_HERE[flag]
        if "--filter" in known and flag[2:].replace("-", "_") in SETTINGS:
            meant = f"--filter {flag[2:].replace('-', '_')}=VALUE"
        else:
            meant = next(iter(get_close_matches(flag, known, n=1)), "")
    return f"Unknown option: {given}." + f" Did you mean {meant}?" * bool(meant)
