"""The filter of a list of runs, as in `lr>=0.05 bn -tag:bad "two words"`.

A term compares a field of `query.fields` with a value, names a switch, or is text that must occur;
a run must satisfy all terms, and a minus turns one round.
"""

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import partial

from cifar_tui.errors import UserError
from cifar_tui.query.fields import ALIASES, FIELDS, Field, Line, Value, field_named, find_field
from cifar_tui.spec.checks import format_value
from cifar_tui.text import age, duration, plain, span

ITEM = r"""(?:"[^"]*"?|'[^']*'?|[^\s,]*)"""
TERM = re.compile(
    rf"(?P<minus>-?)(?:(?P<field>[A-Za-z][\w-]*)\s*(?P<sign>!=|<=|>=|==?|<|>|:)\s*)?"
    rf"(?P<value>{ITEM}(?:,{ITEM})*)"
)
SIGNS = ("!=", "<=", ">=", "=", "<", ">", ":")
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
NONE = "-"
"""The value that stands for no value, as in a table."""
SWITCH = {"yes": True, "on": True, "true": True, "1": True} | {
    "no": False,
    "off": False,
    "false": False,
    "0": False,
}
FACTORS = {"%": 0.01, "k": 1e3, "M": 1e6}

Check = Callable[[Value], bool]


@dataclass(frozen=True)
class Term:
    """One condition on a run."""

    holds: Callable[[Line], bool]
    opening: bool = False
    """Whether it is text that could become a field's name by more typing."""


@dataclass(frozen=True)
class Query:
    """All terms of a filter; `problem` says what is wrong with those that were left out."""

    terms: tuple[Term, ...] = ()
    problem: str = ""

    def matches(self, line: Line) -> bool:
        """Whether the run satisfies all terms."""
        return all(term.holds(line) for term in self.terms)

    def found(self, lines: Iterable[Line]) -> list[Line]:
        """The runs that satisfy all terms."""
        return [line for line in lines if self.matches(line)] if self.terms else list(lines)


def parse(text: str) -> Query:
    """The query that a filter's text means; raises UserError naming the first wrong term."""
    query = parse_typed(text)
    if query.problem:
        raise UserError(query.problem)
    return query


def parse_typed(text: str) -> Query:
    """The same of a text that may still be typed: terms that mean nothing yet are left out."""
    terms, problems = [], []
    for match in split(text):
        try:
            terms.append(_term(match))
        except UserError as error:
            problems.append(str(error))
    return Query(tuple(terms), problems[0] if problems else "")


def split(text: str) -> list["re.Match[str]"]:
    """The text's terms, each with its groups `minus`, `field`, `sign` and `value`."""
    found = []
    place = 0
    while place < len(text):
        match = TERM.match(text, place)
        if match is None or match.end() == place:
            place += 1
        else:
            found.append(match)
            place = match.end()
    return found


def term_text(field: Field, value: Value) -> str:
    """The term that only runs with exactly this value satisfy."""
    if value in (None, ()):
        return f"{field.name}={NONE}"
    sign = "==" if field.kind == "words" else "="
    return f"{field.name}{sign}{value_text(value)}"


def value_text(value: Value) -> str:
    """A value as it is written in a filter."""
    if isinstance(value, tuple):
        return ",".join(map(value_text, value))
    if isinstance(value, str):
        quote = '"' if "'" in value else "'"
        return f"{quote}{value}{quote}" if re.search(r"[\s,'\"]|^$|^-$", value) else value
    short = format_value(value)
    return repr(value) if isinstance(value, float) and float(short) != value else short


def _term(match: "re.Match[str]") -> Term:
    name, sign, value = match["field"], match["sign"], match["value"]
    if name is None:
        return _bare(match["minus"], value)
    field = find_field(name)
    items = _items(value)
    if not items:
        raise UserError(f"{field.name}{sign} needs {_expected(field, name)}.")
    check = _any(field, [_check(field, name, sign, item) for item in items])
    if sign == "==" and field.kind == "words":
        whole = ",".join(items).casefold()
        check = partial(_is_list, whole)
    wanted = (match["minus"] == "-") == (sign == "!=")
    return Term(lambda line: check(line.value(field)) is wanted)


def _is_list(whole: str, value: Value) -> bool:
    return ",".join(map(str, value or ())).casefold() == whole


def _items(value: str) -> list[str]:
    """A list's values, without their quotes and the empty ones."""
    return [item for part in re.findall(ITEM, value) if (item := _unquoted(part))]


def _unquoted(text: str) -> str:
    return text.strip(text[0]) if text[:1] in ("'", '"') else text


def _bare(minus: str, value: str) -> Term:
    """A switch, or text that must occur."""
    field = field_named(value)
    if field is not None and field.kind == "switch":
        return Term(lambda line: (line.value(field) is True) is not bool(minus))
    if value.startswith(SIGNS):
        raise UserError(f"'{plain(value)}' needs a field before it, like lr=0.1.")
    word = _unquoted(value).casefold()
    if not word:
        return Term(lambda line: True)
    start = word.replace("-", "_")
    opening = any(name.startswith(start) for name in (*FIELDS, *ALIASES))
    return Term(lambda line: (word in line.searched) is not bool(minus), opening)


def _any(field: Field, checks: list[Check]) -> Check:
    return checks[0] if len(checks) == 1 else lambda value: any(check(value) for check in checks)


def _check(field: Field, name: str, sign: str, wanted: str) -> Check:
    """What a value of the field must satisfy; `name` is how the field was called."""
    if wanted == NONE:
        return lambda value: value in (None, ())
    sign = {"==": "=", "!=": "="}.get(sign, sign)
    if sign in COMPARE and field.kind not in ("number", "time"):
        raise UserError(f"{field.name} has no order; use = or : instead of {sign}.")
    if field.kind == "time":
        make = _age_check if name.casefold() == "age" else _time_check
        return make(field, sign, wanted)
    makers = {"number": _number_check, "switch": _switch_check, "words": _words_check}
    return makers.get(field.kind, _word_check)(field, sign, wanted)


def _wrong(field: Field, wanted: str, name: str = "") -> UserError:
    word = wanted.casefold()
    near = [choice for choice in field.choices if choice.casefold().startswith(word)]
    near += get_close_matches(word, field.choices, n=1)
    if near:
        return UserError(f"{field.name} is never '{plain(wanted)}'; did you mean {near[0]}?")
    expected = _expected(field, name)
    return UserError(f"{name or field.name} must be {expected}; got '{plain(wanted)}'.")


def _expected(field: Field, name: str) -> str:
    if name.casefold() == "age":
        return "a length of time like 45m, 3h, 2d or 1w"
    if field.choices:
        return f"one of {', '.join(field.choices)}"
    if field.unit == "%":
        return "a share like 0.7, or a percentage like 70"
    if field.unit == "s":
        return "a length of time like 90, 5m, 1h30m or 1:30:00"
    return {
        "number": "a number",
        "switch": "yes or no",
        "time": "a date like 2026-11-20 or 2026-11-20T14:30, or today",
    }.get(field.kind, "a word")


def _number_check(field: Field, sign: str, wanted: str) -> Check:
    """Compare with a number; of a share, one above 1 is a percentage."""
    number = duration(wanted) if field.unit == "s" else _number(wanted)
    if number is None:
        raise _wrong(field, wanted)
    if field.unit == "%" and number > 1:
        number /= 100
    if sign in COMPARE:
        compare = COMPARE[sign]
        return lambda value: value is not None and compare(value, number)
    return lambda value: (
        value is not None
        and (math.isclose(value, number, rel_tol=1e-9) or field.show(value) == wanted)
    )


def _number(text: str) -> float | None:
    factor = FACTORS.get(text[-1:], 1.0)
    try:
        number = float(text[:-1] if factor != 1.0 else text) * factor
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _switch_check(field: Field, sign: str, wanted: str) -> Check:
    on = SWITCH.get(wanted.casefold())
    if on is None:
        raise _wrong(field, wanted)
    return lambda value: value is on


def _word_check(field: Field, sign: str, wanted: str) -> Check:
    word = wanted.casefold()
    if sign == ":":
        return lambda value: value is not None and word in value.casefold()
    if field.choices and word not in map(str.casefold, field.choices):
        raise _wrong(field, wanted)
    return lambda value: value is not None and value.casefold() == word


def _words_check(field: Field, sign: str, wanted: str) -> Check:
    word = wanted.casefold()
    return lambda value: value is not None and any(word == str(one).casefold() for one in value)


def _time_check(field: Field, sign: str, wanted: str) -> Check:
    """Compare with all of the day, month, hour or minute that is named."""
    named = span(wanted, datetime.now())
    if named is None:
        raise _wrong(field, wanted)
    try:
        start, end = (moment.astimezone() for moment in named)
    except (ValueError, OverflowError):
        raise _wrong(field, wanted) from None
    checks: dict[str, Check] = {
        "<": lambda value: value < start,
        "<=": lambda value: value < end,
        ">": lambda value: value >= end,
        ">=": lambda value: value >= start,
    }
    check = checks.get(sign, lambda value: start <= value < end)
    return lambda value: value is not None and check(value)


def _now() -> datetime:
    return datetime.now().astimezone()


def _age_check(field: Field, sign: str, wanted: str) -> Check:
    """Compare with how long ago it was, whenever that is asked."""
    seconds = duration(wanted)
    if seconds is None:
        raise _wrong(field, wanted, "age")
    if sign not in COMPARE:
        return lambda value: value is not None and age(value, _now()) == wanted
    compare = COMPARE[sign]
    return lambda value: value is not None and compare((_now() - value).total_seconds(), seconds)


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
