"""Completes the last term of a filter: names of fields, then values that occur in the runs."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from cifar_tui.runs.fields import ALIASES, FIELDS, Field, field_named
from cifar_tui.runs.line import Line
from cifar_tui.runs.query import split, value_text

NAMES = sorted([*FIELDS, *ALIASES], key=lambda name: (name in ALIASES, len(name)))
"""What a term may begin with, fields before other words for them, short ones first."""


def complete(text: str, values: Callable[[Field], Sequence[str]]) -> str | None:
    """The text with its last term typed out; None where nothing is known.

    `values` gives what a field is in the runs, as from `possible`.
    """
    terms = split(text)
    if not terms or terms[-1].end() < len(text):
        return None
    term = terms[-1]
    if term["field"] is None:
        typed, candidates = term["value"], NAMES
    else:
        field = field_named(term["field"])
        typed = term["value"].rpartition(",")[2]
        candidates = list(values(field)) if field is not None else []
    given = term["value"].casefold().split(",")
    for candidate in candidates if typed or term["field"] else ():
        folded = candidate.casefold()
        if folded.startswith(typed.casefold()) and folded not in given:
            return text + candidate[len(typed) :]
    return None


def possible(field: Field, lines: Iterable[Line]) -> list[str]:
    """What a term can compare the field with, what occurs in these runs first."""
    if field.kind == "time" or (field.kind == "number" and not field.setting):
        return []
    choices = ("yes", "no") if field.kind == "switch" else field.choices
    return list(dict.fromkeys([*occurring(field, lines), *choices]))


def occurring(field: Field, lines: Iterable[Line]) -> list[str]:
    """What the field is in these runs, as written in a filter, the most frequent first."""
    counts: Counter[str] = Counter()
    for line in lines:
        value = line.value(field)
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None:
                counts[value_text(one)] += 1
    return [text for text, _ in counts.most_common()]
