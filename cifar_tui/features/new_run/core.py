"""What the form would launch, in words."""

from collections.abc import Mapping

from cifar_tui.query.fields import SHORT_NAMES
from cifar_tui.spec.checks import SETTINGS, changed, make_spec
from cifar_tui.spec.grid import alternatives, in_force
from cifar_tui.spec.naming import brief, format_value, model_name


def plan_words(texts: Mapping[str, str]) -> str:
    """What makes the runs of a valid form what they are: `simplenn bn lr 0.1,0.01, 30 epochs`."""
    texts = in_force(texts)
    several = {name: text for name, text in texts.items() if len(alternatives(name, text)) > 1}
    first = make_spec({name: alternatives(name, text)[0] for name, text in texts.items()})
    own = changed(first) | {"lr": first.lr}
    values = {name: own[name] for name in SETTINGS if name in own and name not in several}
    values.pop("epochs", None)
    model = several.pop("model", "") or model_name(vars(first))
    varied = [
        f"{SHORT_NAMES.get(name, name)} {''.join(text.split(' '))}"
        for name, text in several.items()
    ]
    epochs = [] if "epochs" in several else [f"{format_value(first.epochs)} epochs"]
    return ", ".join([" ".join(filter(None, [model, brief(values), *varied])), *epochs])
