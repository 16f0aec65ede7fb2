"""What the form would launch, in words and in time."""

from collections.abc import Mapping, Sequence

from cifar_tui.queue.queue import seconds_left
from cifar_tui.runs.listing import Run
from cifar_tui.spec.checks import SETTINGS, changed, make_spec
from cifar_tui.spec.grid import alternatives, in_force
from cifar_tui.spec.naming import brief, format_value, model_name
from cifar_tui.spec.settings import RunSpec


def plan_words(texts: Mapping[str, str]) -> str:
    """What makes the runs of a valid form what they are: `simplenn bn lr 0.1,0.01, 30 epochs`."""
    texts = in_force(texts)
    several = {name: text for name, text in texts.items() if len(alternatives(name, text)) > 1}
    first = make_spec({name: alternatives(name, text)[0] for name, text in texts.items()})
    own = changed(first) | {"lr": first.lr}
    values = {name: own[name] for name in SETTINGS if name in own and name not in several}
    values.pop("epochs", None)
    model = several.pop("model", "") or model_name(first.model_dump())
    varied = [f"{name} {''.join(text.split(' '))}" for name, text in several.items()]
    epochs = [] if "epochs" in several else [f"{format_value(first.epochs)} epochs"]
    return ", ".join([" ".join(filter(None, [model, brief(values), *varied])), *epochs])


def seconds_needed(specs: Sequence[RunSpec], known: Sequence[Run]) -> float | None:
    """About how long these runs train in all, by runs like them; None where one is not known."""
    pace = [name for name, setting in SETTINGS.items() if setting.sets_pace]
    times: dict[tuple[object, ...], float | None] = {}
    total = 0.0
    for spec in specs:
        like = (spec.data, spec.epochs, *(getattr(spec, name) for name in pace))
        if like not in times:
            same = [run for run in known if run.spec and run.spec.data == spec.data]
            times[like] = seconds_left(spec, 0, same)
        seconds = times[like]
        if seconds is None:
            return None
        total += seconds
    return total
