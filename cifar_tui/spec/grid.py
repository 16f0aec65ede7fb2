"""Several values in a setting make a grid: one RunSpec for each combination.

Values are written with commas, or as a range: `0-4`, `8..32 step 6`, `1e-3..1e-1 log 5`.
"""

import itertools
import re
from collections.abc import Mapping
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.spec.checks import SETTINGS, Setting, errors_of, make_spec
from cifar_tui.spec.naming import brief, format_value, model_name
from cifar_tui.spec.settings import SHOWN_NAME_LENGTH, RunSpec

MOST_RUNS = 1000
MOST_CHECKED = 100
"""Combinations that are checked while somebody types; those of a larger grid when it is made."""
WHOLE_RANGE = re.compile(r"(\d+) ?(?:-|\.\.) ?(\d+)(?: step (\d+))?")
_NUMBER = r"\d*\.?\d+(?:e[+-]?\d+)?"
NUMBER_RANGE = re.compile(rf"({_NUMBER}) ?\.\. ?({_NUMBER}) (log )?(\d+)", re.IGNORECASE)


def alternatives(name: str, text: str) -> list[str]:
    """The values written in one setting's text, each once: at commas, in a list at semicolons."""
    parts = _parts(name, text)
    return (
        parts if len(parts) == 1 else list({_value(name, p): p for p in parts[::-1]}.values())[::-1]
    )


def has_repeats(texts: Mapping[str, str]) -> bool:
    """Whether a value stands in a setting more than once."""
    return any(len(_parts(*item)) > len(alternatives(*item)) for item in texts.items())


def _parts(name: str, text: str) -> list[str]:
    setting = SETTINGS.get(name)
    if setting is None or setting.is_free:
        return [text]
    if setting.is_list:
        parts = [part.strip() for part in text.split(";")]
    else:
        parts = [value for part in text.split(",") for value in _values(setting, part.strip())]
    return [part for part in parts if part] or [text]


def _values(setting: Setting, part: str) -> list[str]:
    """The values of a range, both ends included; the text itself where it is none."""
    if setting.kind == "int" and (found := WHOLE_RANGE.fullmatch(part)):
        first, last, step = (int(text or 1) for text in found.groups())
        return list(map(str, range(first, last + 1, step or 1)[: MOST_RUNS + 1])) or [part]
    if setting.kind == "float" and (found := NUMBER_RANGE.fullmatch(part)):
        low, high, number = float(found[1]), float(found[2]), int(found[4])
        if not 1 < number <= MOST_RUNS:
            return [part]
        shares = [i / (number - 1) for i in range(number)]
        if found[3] and low > 0 and high > 0:
            return [f"{low * (high / low) ** share:.4g}" for share in shares]
        if not found[3]:
            return [f"{low + (high - low) * share:.4g}" for share in shares]
    return [part]


def _range_hint(name: str, text: str) -> str:
    """How a range is written, for a text that looks like one."""
    kind = SETTINGS[name].kind if name in SETTINGS and ".." in text else ""
    example = {"int": "0-4 or 8..32 step 6", "float": "1e-3..1e-1 log 5 or 0..0.9 4"}.get(kind)
    return f" A range is written {example}." if example else ""


def _value(name: str, text: str) -> Any:
    """What a text means, so that 0.1 and 0.10 are one value; the text itself where it is wrong."""
    try:
        return getattr(make_spec({name: text}), name)
    except UserError:
        return text


def has_effect(setting: Setting, texts: Mapping[str, str]) -> bool:
    """Whether a setting has an effect beside the others; in a grid, whether in some run."""
    named = [name for name in setting.when if name in texts]
    values = ([_value(name, part) for part in _parts(name, texts[name])] for name in named)
    rows = itertools.product(*values)
    return any(setting.applies(dict(zip(named, row, strict=True))) for row in rows)


def in_force(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts, but the default for what is wrong in a setting without effect."""
    found = dict(texts)
    for name, text in texts.items():
        setting = SETTINGS.get(name)
        if setting and not has_effect(setting, texts) and errors_of({name: text}).get(name):
            found[name] = format_value(setting.default)
    return found


def grid_errors(texts: Mapping[str, str]) -> dict[str, str]:
    """One sentence per wrong setting of a grid; the key "" holds what is wrong between them."""
    found: dict[str, str] = {}
    texts = in_force(texts)
    if grid_size(texts) > MOST_RUNS:
        return {"": _too_many(texts)}
    for name, text in texts.items():
        for value in alternatives(name, text):
            error = errors_of({name: value}).get(name)
            if error:
                found.setdefault(name, error + _range_hint(name, value))
    if not found and grid_size(texts) <= MOST_CHECKED:
        try:
            make_grid(texts)
        except UserError as error:
            found[""] = str(error)
    return found


def grid_size(texts: Mapping[str, str]) -> int:
    """How many runs these texts would make."""
    size = 1
    for name, text in texts.items():
        size *= len(alternatives(name, text))
    return size


def _too_many(texts: Mapping[str, str]) -> str:
    size = grid_size(texts)
    return f"That grid has {size:,} runs; at most {MOST_RUNS:,} are launched at once."


def make_grid(texts: Mapping[str, str]) -> list[RunSpec]:
    """The specs of all combinations, the last setting varying fastest; raises UserError."""
    texts = in_force(texts)
    if grid_size(texts) > MOST_RUNS:
        raise UserError(_too_many(texts))
    columns = [[(name, v) for v in alternatives(name, text)] for name, text in texts.items()]
    specs = [make_spec(dict(row)) for row in itertools.product(*columns)]
    varying = [column[0][0] for column in columns if len(column) > 1]
    return [_named(spec, varying) for spec in specs] if varying else specs


def _named(spec: RunSpec, varying: list[str]) -> RunSpec:
    values = spec.model_dump()
    few: dict[str, Any] = {name: values[name] for name in varying}
    start = spec.name or model_name(values)
    title = f"{start} {brief(few)}".strip()
    return spec.model_copy(update={"name": title[:SHOWN_NAME_LENGTH].rstrip()})


def as_texts(spec: RunSpec) -> dict[str, str]:
    """The spec's settings as the texts of a form."""
    return {name: format_value(value) for name, value in spec.model_dump().items()}
