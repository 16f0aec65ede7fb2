"""Command-line flags: those that many commands take, and those made from the settings."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_origin

from cyclopts import Group, Parameter, Token
from pydantic import SkipValidation

from cifar_tui.console.completion import (
    device_lists_here,
    devices_here,
    folders_with_images,
    one_of,
    runs_known,
    several_of,
)
from cifar_tui.errors import UserError
from cifar_tui.query.fields import FIELDS, Line
from cifar_tui.query.filter import parse
from cifar_tui.queue.choices import CHOICES, Wish, parse_options
from cifar_tui.runs.ids import RUNS as RUNS
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.spec.checks import GROUPS, SETTINGS, Setting
from cifar_tui.spec.naming import format_value

MOST_RUNS = 4

OPTIONS = Group("Options", sort_key=0)
BACKEND = Group("Where it trains", sort_key=50)
NOTIFICATIONS = Group("Who is told when runs end", sort_key=60)
EVERYWHERE = Group("With every command", sort_key=90)
"""Groups of flags in `--help`; those of the settings stand between the first two."""

RunsDir = Annotated[
    Path,
    Parameter(name="--runs", help="Folder with the runs.", metavar="FOLDER", group=EVERYWHERE),
]
IMAGES = Parameter(name="--data", metavar="FOLDER", completer=folders_with_images)
DataDir = Annotated[str, IMAGES, Parameter(help="Folder with the images, or `demo`.")]
DataFolder = Annotated[
    str | None, IMAGES, Parameter(help="Folder with the images; else the one it was trained on.")
]
Json = Annotated[
    bool,
    Parameter(name="--json", negative=(), help="Print JSON for programs.", group=EVERYWHERE),
]
RUN = Parameter(name="RUN", completer=runs_known)
Some = Annotated[tuple[str, ...], RUN, Parameter(help="One or more runs.")]
FILTER = Parameter(allow_leading_hyphen=True, metavar="FILTER", completer=several_of(FIELDS, " "))
Filter = Annotated[
    str | None,
    FILTER,
    Parameter(help="Only runs like this: `lr>=0.05 bn model=resnet -tag:bad val_acc>70 age<2d`."),
]
Which = Annotated[
    str,
    RUN,
    Parameter(
        help="A run's id, a unique prefix of it, its name, last or best; ./ID is always the id.",
    ),
]
Baseline = Parameter(name="--baseline", metavar="RUN", completer=runs_known)


def _as_typed(kind: Any, tokens: Sequence[Token]) -> Any:
    typed = tuple(token.value for token in tokens)
    return typed if get_origin(kind) is tuple else typed[0]


AS_TYPED = (Parameter(converter=_as_typed, show_choices=False), SkipValidation())
"""Types and choices are for help and completion alone: whoever takes the text checks it."""
AnyRuns = Annotated[Path, Parameter(name="--runs", show=False)]
"""Accepted where no run is read, so that every command takes the same flags."""


Device = Annotated[str, Parameter(help="As in `train`.", metavar="DEVICE", completer=devices_here)]
Tags = Annotated[str | None, Parameter(help="Words separated by commas.", metavar="WORD,WORD,...")]
Options = Annotated[
    tuple[str, ...],
    Parameter(
        negative=(),
        metavar="NAME=VALUE",
        help="An option of the backend; may be repeated.",
        completer=one_of(
            (f"{name}=", f"{choice.name}: {help}")
            for choice in CHOICES.values()
            for name, help in choice.options.items()
        ),
    ),
]


@dataclasses.dataclass(frozen=True)
class BackendFlags:
    """How runs are to be trained: the flags that `train`, `lab run` and the app share."""

    backend: Annotated[
        str,
        Parameter(
            metavar="NAME",
            help="What trains them; `cifar-tui backends` shows which can be used here.",
            completer=one_of((choice.name, choice.help) for choice in CHOICES.values()),
        ),
    ] = ""
    devices: Annotated[
        str,
        Parameter(
            metavar="LIST",
            help="Train at the same time on these, a process for each: cuda:0,cuda:1, cpu:2 for "
            "two runs on the CPU, or all GPUs that others do not use heavily.",
            completer=device_lists_here,
        ),
    ] = ""
    option: Options = ()
    on_end: Annotated[
        str,
        Parameter(
            metavar="COMMAND",
            help="Run this shell command, with JSON on its standard input, when the queue ends or "
            "a run fails, crashes or diverges.",
            group=NOTIFICATIONS,
        ),
    ] = ""
    webhook: Annotated[
        str,
        Parameter(
            metavar="URL",
            help="Post the same JSON to this URL, which CIFAR_TUI_WEBHOOK may hold instead.",
            group=NOTIFICATIONS,
        ),
    ] = ""

    def wish(self) -> Wish:
        """The same as the core takes it; raises UserError for an option without a value."""
        options = parse_options(self.option)
        return Wish(self.backend, self.devices, options, self.on_end, self.webhook)


OnBackend = Annotated[BackendFlags, Parameter(name="*", group=BACKEND)]
ANY_BACKEND = BackendFlags()

PLACEHOLDERS = {
    "data": "FOLDER",
    "device": "DEVICE",
    "name": "TEXT",
    "milestones": "INT,INT,...",
    "mean": "R,G,B",
    "std": "R,G,B",
}
"""What stands for the values of settings whose types do not say it."""
COMPLETERS = {"data": folders_with_images, "device": devices_here}


def spec_flags() -> type:
    """A dataclass with one optional field per setting; None means that the flag was not given.

    Values stay text (switches become bool), so that RunSpec alone decides what is right.
    """
    groups = {name: Group(name, sort_key=i) for i, name in enumerate(GROUPS, 1)}
    fields: list[tuple[str, Any, Any]] = [
        (name, _flag(setting, groups[setting.group]), dataclasses.field(default=None))
        for name, setting in SETTINGS.items()
    ]
    made = dataclasses.make_dataclass("SpecFlags", fields, kw_only=True)
    made.__module__ = __name__
    return made


def _flag(setting: Setting, group: Group) -> Any:
    kind: Any = str if setting.is_list else setting.info.annotation
    default = format_value(setting.default) or "none"
    words = "WORD,WORD,..." if setting.is_list else None
    return Annotated[
        kind | None,
        *(() if setting.is_bool else AS_TYPED),
        Parameter(
            name=setting.flag,
            help=f"{setting.help}. [{setting.expected}; default {default}]",
            group=group,
            metavar=PLACEHOLDERS.get(setting.name, words),
            completer=COMPLETERS.get(setting.name),
        ),
    ]


@dataclasses.dataclass(frozen=True)
class RunChoice:
    """Runs that are meant without being named."""

    all: Annotated[bool, Parameter(negative=(), help="All runs.")] = False
    filter: Annotated[
        str | None, FILTER, Parameter(help="The runs that this finds, as in `runs list --filter`.")
    ] = None

    def __bool__(self) -> bool:
        """Whether any are meant."""
        return self.all or self.filter is not None


Chosen = Annotated[RunChoice, Parameter(name="*")]
NAMED_ONLY = RunChoice()


def chosen_runs(wanted: tuple[str, ...], choice: RunChoice, known: Runs) -> list[Run]:
    """The runs named, each once, or those meant; raises UserError where it is neither, or both."""
    if bool(wanted) is bool(choice) or (choice.all and choice.filter is not None):
        raise UserError("Name runs, or take --filter FILTER or --all: one of the three.")
    if choice:
        return [line.run for line in parse(choice.filter or "").found(map(Line, known.all()))]
    return known.find_each(wanted)


def few_runs(wanted: tuple[str, ...], runs: Path, command: str) -> list[Run]:
    """One to four runs."""
    if not 1 <= len(wanted) <= MOST_RUNS:
        raise UserError(
            f"{command} takes one to {MOST_RUNS} runs, like `cifar-tui {command} best`."
        )
    known = Runs(runs)
    return [known.find(one) for one in wanted]


if TYPE_CHECKING:
    SpecFlags = Any
    NO_FLAGS: Any = None
else:
    SpecFlags = spec_flags()
    NO_FLAGS = SpecFlags()
