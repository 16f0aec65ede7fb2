"""Command-line flags: those that many commands take, and those made from the settings."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from cifar_tui.errors import UserError
from cifar_tui.queue.choices import Wish, parse_options
from cifar_tui.runs.folder import RUNS as RUNS
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.spec.checks import GROUPS, SETTINGS, Setting
from cifar_tui.spec.naming import format_value

MOST_RUNS = 4


RunsDir = Annotated[Path, Parameter(name="--runs", help="Folder with the runs.")]
DataDir = Annotated[str, Parameter(name="--data", help="Folder with the images, or `demo`.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON for programs.")]
Which = Annotated[
    str,
    Parameter(
        name="RUN",
        help="A run's id, a unique prefix of it, its name, last or best; ./ID is always the id.",
    ),
]

AnyRuns = Annotated[Path, Parameter(name="--runs", show=False)]
"""Accepted where no run is read, so that every command takes the same flags."""


@dataclasses.dataclass(frozen=True)
class BackendFlags:
    """How runs are to be trained: the flags that `train`, `lab run` and the app share."""

    backend: Annotated[
        str, Parameter(help="What trains them; `cifar-tui backends` shows which can be used here.")
    ] = ""
    devices: Annotated[
        str,
        Parameter(
            help="Train at the same time on these, a process for each: cuda:0,cuda:1, cpu:2 for "
            "two runs on the CPU, or all GPUs that others do not use heavily."
        ),
    ] = ""
    together: Annotated[
        bool,
        Parameter(negative=(), help="Train runs that differ only in numbers as one batched model."),
    ] = False
    option: Annotated[
        tuple[str, ...],
        Parameter(negative=(), help="An option of the backend, as NAME=VALUE; may be repeated."),
    ] = ()

    def wish(self) -> Wish:
        """The same as the core takes it; raises UserError for an option without a value."""
        return Wish(self.backend, self.devices, self.together, parse_options(self.option))


OnBackend = Annotated[BackendFlags, Parameter(name="*", group="Backend")]
ANY_BACKEND = BackendFlags()


def spec_flags() -> type:
    """A dataclass with one optional field per setting; None means that the flag was not given.

    Values stay text (switches become bool), so that RunSpec alone decides what is right.
    """
    groups = {name: Group(name, sort_key=i) for i, name in enumerate(GROUPS)}
    fields: list[tuple[str, Any, Any]] = [
        (name, _flag(setting, groups[setting.group]), dataclasses.field(default=None))
        for name, setting in SETTINGS.items()
    ]
    made = dataclasses.make_dataclass("SpecFlags", fields, kw_only=True)
    made.__module__ = __name__
    return made


def _flag(setting: Setting, group: Group) -> Any:
    kind = bool if setting.is_bool else str
    default = format_value(setting.default) or "none"
    text = f"{setting.help}. [{setting.expected}; default {default}]"
    return Annotated[kind | None, Parameter(help=text, group=group, name=setting.flag)]


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

DataFolder = Annotated[str | None, Parameter(name="--data", help="Folder with the images.")]
