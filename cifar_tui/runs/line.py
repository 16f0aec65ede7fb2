"""A run with what was asked of it before: lists of ten thousand runs ask again at every key."""

from dataclasses import dataclass, field
from functools import cached_property

from cifar_tui.runs.fields import FIELDS, Field, Value
from cifar_tui.runs.listing import Run
from cifar_tui.wording import model_name


@dataclass(frozen=True)
class Line:
    """One run in a list; what is made of it is made when it is first asked for."""

    run: Run
    _values: dict[str, Value] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def searched(self) -> str:
        """What plain words of a filter look at, in lower case; one thing on each line."""
        run = self.run
        words = [run.name, run.id, self.value(FIELDS["settings"]), *run.tags]
        words += [run.status, run.notes.note]
        if run.spec is not None:
            words.append(model_name(run.spec.model_dump()))
        if run.synthetic:
            words.append("demo")
        if run.edited:
            words.append("edited")
        return "\n".join(words).casefold()

    def value(self, asked: Field) -> Value:
        """The run's value of a field."""
        try:
            return self._values[asked.name]
        except KeyError:
            return self._values.setdefault(asked.name, asked.value(self.run))


def make_line(run: Run, before: Line | None) -> Line:
    """The run's line; `before` itself where nothing changed."""
    return before if before is not None and before.run is run else Line(run)


def same_lines(found: dict[str, Line], before: dict[str, Line]) -> bool:
    """Whether nothing changed since the look before: the lines are the same ones."""
    both = zip(found.values(), before.values(), strict=False)
    return len(found) == len(before) and all(now is then for now, then in both)
