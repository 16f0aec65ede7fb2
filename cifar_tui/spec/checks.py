"""Declared settings checked and read back: labels, choices, what is expected, and what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from cifar_tui.errors import UserError
from cifar_tui.spec.settings import Role, RunSpec


@dataclass(frozen=True)
class Setting:
    """One declared setting, read back from RunSpec for the form, flags, docs and messages."""

    name: str
    info: FieldInfo
    group: str
    role: Role
    sets_pace: bool
    """Whether it decides how long an epoch takes."""
    unit: str
    when: Mapping[str, tuple[Any, ...]]
    """The settings and values under which it has an effect."""
    what: str
    """What a value must be, where its type and range do not say it."""

    @property
    def label(self) -> str:
        """Short label for a form."""
        return self.info.title or self.name

    @property
    def help(self) -> str:
        """One sentence for help texts and the docs."""
        return self.info.description or ""

    @cached_property
    def default(self) -> Any:
        """The default value."""
        return self.info.default

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed words, or nothing for other types."""
        return get_args(self.info.annotation) if get_origin(self.info.annotation) is Literal else ()

    @property
    def is_bool(self) -> bool:
        """Whether it is a switch."""
        return self.info.annotation is bool

    @property
    def kind(self) -> str:
        """The name of its type: int, float, bool, str, ..."""
        return getattr(self.info.annotation, "__name__", "")

    @property
    def is_list(self) -> bool:
        """Whether its value is a tuple, written with commas."""
        return get_origin(self.info.annotation) is tuple

    @cached_property
    def is_free(self) -> bool:
        """Whether it is any text or words, in which commas separate no values of a grid."""
        patterns = [getattr(bound, "pattern", None) for bound in self.info.metadata]
        return self.info.annotation in (str, tuple[str, ...]) and not any(patterns)

    @property
    def flag(self) -> str:
        """The command-line flag: the name with dashes."""
        return "--" + self.name.replace("_", "-")

    @property
    def expected(self) -> str:
        """What a value must be, in words made from the declaration."""
        if self.what:
            return self.what
        if self.is_bool:
            return "on or off"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kind = "a whole number" if self.info.annotation is int else "a number"
        return " ".join([kind, *(_bound_words(self.info))])

    @property
    def several(self) -> str:
        """How several values are written, by which a form or a flag makes a grid."""
        if self.is_list:
            return "lists with ; between them"
        if self.is_bool:
            return "no,yes"
        if self.choices:
            return ",".join(self.choices[:2])
        return {"int": "1,3 or 1-4", "float": "0.1,0.01 or 1e-3..1e-1 log 5"}.get(self.kind, "a,b")

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether it has an effect beside the other values, as far as these are given."""
        return all(values[name] in allowed for name, allowed in self.when.items() if name in values)


def _bound_words(info: FieldInfo) -> list[str]:
    words = {"Ge": "from {}", "Gt": "above {}", "Le": "up to {}", "Lt": "below {}"}
    found = []
    for bound in info.metadata:
        kind = type(bound).__name__
        if kind in words:
            value = getattr(bound, kind.lower())
            found.append(words[kind].format(f"{value:,}" if isinstance(value, int) else value))
    return found


SETTINGS: dict[str, Setting] = {
    name: Setting(name, info, **cast(dict[str, Any], info.json_schema_extra))
    for name, info in RunSpec.model_fields.items()
}
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(s.group for s in SETTINGS.values()))


def settings_in(group: str) -> list[Setting]:
    """The settings of one group, in the order of declaration."""
    return [s for s in SETTINGS.values() if s.group == group]


def errors_of(values: Mapping[str, Any]) -> dict[str, str]:
    """One sentence per wrong setting; the key "" holds what is wrong between settings."""
    try:
        RunSpec.model_validate(values)
    except ValidationError as error:
        return _sentences(error)
    return {}


def make_spec(values: Mapping[str, Any]) -> RunSpec:
    """Build a RunSpec from values or their texts; raises UserError naming the first wrong one."""
    if "," in str(values.get("device", "")):
        raise UserError(
            "One run trains on one device, as nets this small slow down when they are split; "
            f"--devices {values['device']} trains several runs at the same time."
        )
    try:
        return RunSpec.model_validate(values)
    except ValidationError as error:
        raise UserError(next(iter(_sentences(error).values()))) from None


def _sentences(error: ValidationError) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in error.errors():
        name = str(item["loc"][0]) if item["loc"] else ""
        setting = SETTINGS.get(name)
        if item["type"] == "whole":
            found.setdefault("", item["msg"])
        elif setting is None:
            found.setdefault(name, unknown_setting(name))
        else:
            got = item["input"] if isinstance(item["input"], str) else format_value(item["input"])
            wrong = f"{name} must be {setting.expected}; got {_quote(got)}."
            found.setdefault(name, wrong + _near_choice(setting, got))
    return found


def _near_choice(setting: Setting, got: str) -> str:
    """Which choice was probably meant, as in resnet20; nothing where none is near."""
    near = get_close_matches(got.casefold(), setting.choices, n=1)
    depth = got.casefold().removeprefix("resnet").lstrip("-") if near == ["resnet"] else ""
    with_depth = f" with depth {depth}" if depth.isdecimal() else ""
    return f" Did you mean {near[0]}{with_depth}?" if near else ""


def _quote(text: str) -> str:
    shown = repr(text[:40])[1:-1]
    return f"'{shown}'" if len(text) <= 40 else f"'{shown}...'"


def unknown_setting(name: str) -> str:
    """One sentence for a setting that does not exist, with the nearest one that does."""
    near = get_close_matches(name.replace("-", "_"), SETTINGS, n=1)
    hint = f"did you mean {near[0]}?" if near else "`cifar-tui train --help` lists the settings."
    return f"There is no setting called {_quote(name)}; {hint}"


def format_value(value: Any) -> str:
    """A setting's value as people write it: yes/no, 1e-05, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ",".join(format_value(v) for v in value)
    return str(value)


def with_role(*roles: Role) -> tuple[str, ...]:
    """The names of the settings with one of these roles, in the order of declaration."""
    return tuple(name for name, setting in SETTINGS.items() if setting.role in roles)


@lru_cache(maxsize=20_000)
def identity(spec: RunSpec) -> tuple[Any, ...]:
    """All that decides a run's results but the seed: settings in force, None for the others."""
    values = vars(spec)
    return tuple(
        values[name] if SETTINGS[name].applies(values) else None for name in with_role("result")
    )


def edited(trained: RunSpec, now: RunSpec) -> str:
    """`trained with lr 0.01, and spec.toml says lr 0.2`; empty where no result depends on it."""
    old, new = vars(trained), vars(now)
    names = [
        name
        for name in with_role("result", "repeat")
        if old[name] != new[name] and (SETTINGS[name].applies(old) or SETTINGS[name].applies(new))
    ]
    then, says = (", ".join(f"{n} {format_value(v[n])[:40]}" for n in names) for v in (old, new))
    return f"trained with {then}, and spec.toml says {says}" if names else ""


def changed(spec: RunSpec) -> dict[str, Any]:
    """The settings in force that differ from their defaults, without name, tags and images."""
    values = vars(spec)
    return {
        name: values[name]
        for name, setting in SETTINGS.items()
        if values[name] != setting.default and not setting.is_free and setting.applies(values)
    }
