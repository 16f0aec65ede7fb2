"""Settings in words and as TOML: titles, short lines, folder names, spec files."""

import re
import shlex
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from cifar_tui.errors import UserError
from cifar_tui.files import read_small
from cifar_tui.spec.checks import GROUPS, SETTINGS, changed, format_value, settings_in
from cifar_tui.spec.settings import SHOWN_NAME_LENGTH, RunSpec
from cifar_tui.text import plain

LARGEST_TOML = 64 * 1024
"""Bytes; a file of all settings has a fiftieth of that."""
MOST_DOTS = 200
"""In a line: a key of n parts takes tomllib n squared of time and memory."""


def title(spec: RunSpec) -> str:
    """The spec's name, or one made from the model and what differs from the defaults."""
    return spec.name or default_title(spec)


def brief(values: Mapping[str, Any]) -> str:
    """Settings on one short line: `bn`, `swish` and `aug` by themselves, others as `lr 0.1`."""
    alone = {"batch_norm": "bn", "augment": "aug", "nesterov": "nesterov"}
    words = []
    for name, value in values.items():
        if name in alone and isinstance(value, bool):
            words.append(alone[name] if value else f"no {alone[name]}")
        elif name in ("activation", "schedule", "precision") and value != "none":
            words.append(str(value))
        elif name not in ("model", "depth"):
            words.append(f"{name} {format_value(value)}")
    return " ".join(words)


def model_name(values: Mapping[str, Any]) -> str:
    """`simplenn`, or `resnet20` with its depth."""
    model = str(values.get("model", "?"))
    return f"{model}{values.get('depth', '')}" if model == "resnet" else model


def spec_text(spec: RunSpec, unknown: Collection[str] = ()) -> str:
    """The model and all known settings that differ from the defaults, on one line."""
    values = {name: value for name, value in changed(spec).items() if name not in unknown}
    return f"{model_name(vars(spec))} {brief(values)}".strip()


def flags(spec: RunSpec) -> str:
    """The settings that differ from the defaults, as flags of the command line."""
    words = []
    for name, value in changed(spec).items():
        flag = SETTINGS[name].flag
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            words += [flag, shlex.quote(format_value(value))]
    return " ".join(words)


def default_title(spec: RunSpec) -> str:
    """A short title made from the model and up to four settings that differ."""
    values = {k: v for k, v in changed(spec).items() if k not in ("model", "depth")}
    few = dict(list(values.items())[:4])
    return " ".join([model_name(vars(spec)), brief(few)]).strip()


def given_name(name: str, spec: RunSpec) -> str:
    """A run's name where a person gave it; empty for one that is made from its settings."""
    values = vars(spec)
    rest = name.removeprefix(model_name(values))
    if rest == name:
        return name
    words = sorted((f" {brief({n: v})}" for n, v in values.items()), key=len, reverse=True)
    while found := next((word for word in words if word != " " and rest.startswith(word)), ""):
        rest = rest[len(found) :]
    cut = len(name) == SHOWN_NAME_LENGTH and any(word.startswith(rest) for word in words)
    return name if rest and not cut else ""


def slug(text: str, length: int = 40) -> str:
    """Lower-case letters, digits and single dashes only, safe as part of a folder name."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower())[:length].strip("-.") or "run"


def to_toml(spec: RunSpec) -> str:
    """The spec as a TOML file, grouped, each group under a comment."""
    values = spec.model_dump(mode="json")
    parts = []
    for group in GROUPS:
        block = tomli_w.dumps({s.name: values[s.name] for s in settings_in(group)})
        parts.append(f"# {group}\n{block}")
    return "\n".join(parts)


def read_toml(path: Path) -> dict[str, Any]:
    """Settings from a TOML file, unchecked; raises UserError when it cannot be read."""
    try:
        content = read_small(path)
    except FileNotFoundError:
        raise UserError(
            f"There is no spec file {path}; `runs show RUN --spec` prints one."
        ) from None
    except OSError as error:
        raise UserError(f"Cannot read the spec file {path}: {error.strerror}.") from None
    except ValueError as error:
        raise UserError(f"{path} is not a TOML file: {plain(str(error))[:200]}.") from None
    return parse_toml(content, path)


def parse_toml(content: bytes, path: Path) -> dict[str, Any]:
    """Settings from the content of the TOML file `path`, unchecked; raises UserError."""
    try:
        if len(content) > LARGEST_TOML:
            raise ValueError(f"it is larger than {LARGEST_TOML:,} bytes")
        if any(line.count(b".") > MOST_DOTS for line in content.splitlines()):
            raise ValueError(f"a line of it has more than {MOST_DOTS} dots")
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # more than damaged TOML makes tomllib raise
        raise UserError(f"{path} is not a TOML file: {plain(str(error))[:200]}.") from None
