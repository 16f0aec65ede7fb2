"""Several values in a setting make a grid: one RunSpec for each combination."""

import itertools
from collections.abc import Mapping
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.spec.checks import SETTINGS, Setting, errors_of, make_spec
from cifar_tui.spec.naming import brief, format_value, model_name
from cifar_tui.spec.settings import SHOWN_NAME_LENGTH, RunSpec

MOST_RUNS = 1000


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
    parts = [part.strip() for part in text.split(";" if setting.is_list else ",")]
    return [part for part in parts if part] or [text]


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
    for name, text in texts.items():
        for value in alternatives(name, text):
            error = errors_of({name: value}).get(name)
            if error:
                found.setdefault(name, error)
    if not found:
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


def make_grid(texts: Mapping[str, str]) -> list[RunSpec]:
    """The specs of all combinations, the last setting varying fastest; raises UserError."""
    texts = in_force(texts)
    size = grid_size(texts)
    if size > MOST_RUNS:
        raise UserError(f"That grid has {size:,} runs; at most {MOST_RUNS:,} are launched at once.")
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
