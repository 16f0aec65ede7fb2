"""Settings that the form can be filled with: the user's own, those of the last runs, the labs'."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.files import config_folder
from cifar_tui.runs.listing import Run
from cifar_tui.spec.checks import SETTINGS, changed, make_spec, with_role
from cifar_tui.spec.naming import brief, model_name, read_toml, title
from cifar_tui.spec.settings import RunSpec
from cifar_tui.text import at_epoch

RECENT = 20
"""Presets made of the last runs."""


@dataclass(frozen=True)
class Preset:
    """Settings under a name; `values` are those of a RunSpec, as a TOML file has them."""

    name: str
    about: str
    values: Mapping[str, object]


def presets_folder() -> Path:
    """Where the user's presets are kept, a TOML file each."""
    return config_folder() / "presets"


def own_presets(folder: Path) -> list[Preset]:
    """The user's own; a file that is wrong is listed with what is wrong, and has no settings."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        try:
            values = read_toml(path)
            found.append(Preset(path.stem, _about(make_spec(values)), values))
        except UserError as error:
            found.append(Preset(path.stem, str(error), {}))
    return found


def spec_path(given: Path) -> Path:
    """A spec file, or the preset of that name where there is no such file."""
    preset = presets_folder() / f"{given}.toml"
    return preset if not given.suffix and not given.exists() and preset.exists() else given


def presets(runs: Sequence[Run]) -> list[Preset]:
    """The user's own, the settings of the last runs, and those of every experiment of the labs."""
    from cifar_tui.features.labs.assignment import LABS

    found = own_presets(presets_folder())
    labels = with_role("label")
    last: dict[RunSpec, Preset] = {}
    for run in reversed(runs):
        if run.spec is not None and len(last) < RECENT:
            spec = run.spec.model_copy(update={name: SETTINGS[name].default for name in labels})
            about = f"{_about(spec)}; best val_acc {at_epoch(run.summary.best)}"
            last.setdefault(spec, Preset(title(run.spec), about, spec.model_dump()))
    found += last.values()
    for lab in LABS:
        for arm in lab.arms:
            about = _about(make_spec(arm.settings))
            found.append(Preset(f"{lab.name}: {arm.label}", about, arm.settings))
    return found


def _about(spec: RunSpec) -> str:
    values = {
        name: value for name, value in changed(spec).items() if name not in ("model", "depth")
    }
    return f"{model_name(vars(spec))} {brief(values)}".strip()
