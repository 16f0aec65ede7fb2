"""Several values in a setting make a grid: one RunSpec for each combination."""

import itertools
from collections.abc import Mapping
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.settings import SETTINGS, errors_of, make_spec
from cifar_tui.spec import SHOWN_NAME_LENGTH, RunSpec
from cifar_tui.wording import brief, format_value, model_name

MOST_RUNS = 1000
WHOLE = ("data", "name", "tags")
"""Settings whose text is always one value."""


def alternatives(name: str, text: str) -> list[str]:
    """The values written in one setting's text: at commas, for a list setting at semicolons."""
    setting = SETTINGS.get(name)
    if name in WHOLE or setting is None:
        return [text]
    parts = [part.strip() for part in text.split(";" if setting.is_list else ",")]
    return [part for part in parts if part] or [text]


def grid_errors(texts: Mapping[str, str]) -> dict[str, str]:
    """One sentence per wrong setting of a grid; the key "" holds what is wrong between them."""
    found: dict[str, str] = {}
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
