"""RunSpec: every setting of a run, declared once for form, flags, TOML file, docs and checks."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from cifar_tui.errors import UserError

CLASSES = 10
SHOWN_NAME_LENGTH = 60


def _setting(
    default: Any,
    group: str,
    label: str,
    help: str,
    *,
    unit: str = "",
    when: Mapping[str, tuple[Any, ...]] | None = None,
    expected: str = "",
    **bounds: Any,
) -> Any:
    """Declare one setting; `when` names the settings and values under which it has an effect."""
    extra: dict[str, Any] = {
        "group": group,
        "unit": unit,
        "when": dict(when or {}),
        "expected": expected,
    }
    return Field(default, title=label, description=help, json_schema_extra=extra, **bounds)


class RunSpec(BaseModel):
    """Everything that decides what a run computes, plus its name and tags; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: str = _setting(
        "data",
        "Data",
        "Images",
        "Folder with the course's .npy files or zips, or with the official CIFAR-10; `demo` draws the synthetic demo set",
        expected="a folder, or demo",
        min_length=1,
    )
    normalisation: Literal["course", "true"] = _setting(
        "course",
        "Data",
        "Normalisation",
        "Per-channel mean and std: `course` is the template's, whose std (0.2023, 0.1994, 0.2010) is a widespread mistake; `true` has CIFAR-10's own (0.2470, 0.2435, 0.2616)",
    )
    augment: bool = _setting(
        False,
        "Data",
        "Augment",
        "Random crop and horizontal flip, drawn for each image in each epoch",
    )
    crop_padding: int = _setting(
        4,
        "Data",
        "Crop padding",
        "Black border added on each side before a random 32x32 crop",
        unit="pixels",
        when={"augment": (True,)},
        ge=0,
        le=16,
    )
    flip: bool = _setting(
        True, "Data", "Flip", "Mirror half of the images left to right", when={"augment": (True,)}
    )

    model: Literal["simplenn", "resnet"] = _setting(
        "simplenn",
        "Model",
        "Model",
        "`simplenn` is the assignment's Table 1; `resnet` is the CIFAR ResNet of He et al. 2016, section 4.2",
    )
    depth: int = _setting(
        20,
        "Model",
        "Depth",
        "Layers of the ResNet, 6n+2",
        when={"model": ("resnet",)},
        expected="6n+2 from 8 to 200: 8, 14, 20, 32, 38, 44, 56, 110, ...",
        ge=8,
        le=200,
    )
    shortcut: Literal["A", "B", "none"] = _setting(
        "A",
        "Model",
        "Shortcut",
        "Where a block changes shape: `A` zero-padded identity, `B` 1x1 convolution, `none` no shortcuts anywhere",
        when={"model": ("resnet",)},
    )
    batch_norm: bool = _setting(
        False,
        "Model",
        "Batch norm",
        "Normalise after each convolution of SimpleNN (a ResNet always does)",
        when={"model": ("simplenn",)},
    )
    activation: Literal["relu", "swish"] = _setting(
        "relu", "Model", "Activation", "`swish` is x*sigmoid(x)"
    )
    dropout: float = _setting(
        0.0,
        "Model",
        "Dropout",
        "Share of units dropped before each fully connected layer but the first (ResNet: before its only one)",
        ge=0,
        lt=1,
    )

    epochs: int = _setting(
        30, "Training", "Epochs", "Passes over the training split", ge=1, le=100_000
    )
    batch_size: int = _setting(
        128,
        "Training",
        "Batch size",
        "Images per update; the last batch of an epoch may be smaller",
        unit="images",
        ge=1,
        le=50_000,
    )
    val_batch_size: int = _setting(
        100,
        "Training",
        "Validation batch",
        "Images per batch when validating; changes no result",
        unit="images",
        ge=1,
        le=50_000,
    )
    precision: Literal["fp32", "tf32", "bf16"] = _setting(
        "fp32",
        "Training",
        "Precision",
        "`tf32` speeds up matrix products on NVIDIA GPUs, `bf16` runs the layers in bfloat16",
    )
    device: str = _setting(
        "auto",
        "Training",
        "Device",
        "`auto` takes the first GPU, else the CPU",
        expected="auto, cpu, mps, cuda or cuda:N",
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$",
    )
    seed: int = _setting(
        0, "Training", "Seed", "Decides initial weights, order and augmentation", ge=0, le=2**31 - 1
    )
    early_stop: int = _setting(
        0,
        "Training",
        "Early stop",
        "End after this many epochs without a better val_acc; 0 never does",
        unit="epochs",
        ge=0,
        le=100_000,
    )

    lr: float = _setting(0.01, "Optimiser", "lr", "Learning rate of SGD", gt=0, le=100)
    momentum: float = _setting(0.9, "Optimiser", "Momentum", "Momentum of SGD", ge=0, lt=1)
    nesterov: bool = _setting(
        False, "Optimiser", "Nesterov", "Nesterov's momentum; needs momentum above 0"
    )
    l2: float = _setting(1e-4, "Optimiser", "L2", "Weight decay on all parameters", ge=0, le=10)
    l1: float = _setting(
        0.0, "Optimiser", "L1", "Weight of the sum of absolute parameters in the loss", ge=0, le=10
    )

    schedule: Literal["none", "step", "milestones", "cosine"] = _setting(
        "none",
        "Schedule",
        "Schedule",
        "How lr falls: every so many epochs, at given epochs, or along a half cosine to 0",
    )
    decay_every: int = _setting(
        10,
        "Schedule",
        "Decay every",
        "Epochs between two decays",
        unit="epochs",
        when={"schedule": ("step",)},
        ge=1,
        le=100_000,
    )
    milestones: tuple[int, ...] = _setting(
        (90, 140),
        "Schedule",
        "Milestones",
        "Epochs after which lr decays",
        unit="epochs",
        when={"schedule": ("milestones",)},
        expected="whole numbers from 1 upwards in rising order, like 90,140",
    )
    decay_factor: float = _setting(
        0.1,
        "Schedule",
        "Decay factor",
        "What lr is multiplied by at each decay",
        when={"schedule": ("step", "milestones")},
        gt=0,
        le=1,
    )
    warmup: int = _setting(
        0,
        "Schedule",
        "Warm-up",
        "First epochs over which lr rises linearly",
        unit="epochs",
        ge=0,
        le=1_000,
    )

    name: str = _setting(
        "",
        "Record",
        "Name",
        "A short name to find the run by; made from the settings if empty",
        expected=f"at most {SHOWN_NAME_LENGTH} printable characters",
        max_length=SHOWN_NAME_LENGTH,
    )
    tags: tuple[str, ...] = _setting(
        (), "Record", "Tags", "Words to group runs by", expected="words separated by commas"
    )

    @field_validator("milestones", "tags", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        """Let a list be written as text with commas, as on the command line."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("milestones")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(m < 1 for m in value) or list(value) != sorted(set(value)):
            raise PydanticCustomError("expected", "not rising")
        return value

    @field_validator("depth")
    @classmethod
    def _six_n_plus_two(cls, value: int) -> int:
        if (value - 2) % 6:
            raise PydanticCustomError("expected", "not 6n+2")
        return value

    @field_validator("name", "data", "tags")
    @classmethod
    def _printable(cls, value: Any) -> Any:
        for text in (value,) if isinstance(value, str) else value:
            if not text.isprintable():
                raise PydanticCustomError("expected", "not printable")
        return value.strip() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise PydanticCustomError(
                "whole", "nesterov needs momentum above 0; set momentum or switch nesterov off."
            )
        return self

    @property
    def key(self) -> str:
        """Hash of the settings that decide the result; equal for runs that repeat each other."""
        settings = {k: v for k, v in self.model_dump(mode="json").items() if k in deciding(self)}
        text = json.dumps(settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Setting:
    """One declared setting, read back from RunSpec for the form, flags, docs and messages."""

    name: str
    info: FieldInfo

    @property
    def extra(self) -> dict[str, Any]:
        """Group, unit, `when` and `expected`, as declared."""
        extra = self.info.json_schema_extra
        assert isinstance(extra, dict)
        return extra

    @property
    def label(self) -> str:
        """Short label for a form."""
        return self.info.title or self.name

    @property
    def help(self) -> str:
        """One sentence for help texts and the docs."""
        return self.info.description or ""

    @property
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
    def is_list(self) -> bool:
        """Whether its value is a tuple, written with commas."""
        return get_origin(self.info.annotation) is tuple

    @property
    def flag(self) -> str:
        """The command-line flag: the name with dashes."""
        return "--" + self.name.replace("_", "-")

    @property
    def expected(self) -> str:
        """What a value must be, in words made from the declaration."""
        if self.extra["expected"]:
            return str(self.extra["expected"])
        if self.is_bool:
            return "on or off"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kind = "a whole number" if self.info.annotation is int else "a number"
        return " ".join([kind, *(_bound_words(self.info))])

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether it has an effect beside these other values."""
        return all(values.get(name) in allowed for name, allowed in self.extra["when"].items())


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
    name: Setting(name, info) for name, info in RunSpec.model_fields.items()
}
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(s.extra["group"] for s in SETTINGS.values()))


def settings_in(group: str) -> list[Setting]:
    """The settings of one group, in the order of declaration."""
    return [s for s in SETTINGS.values() if s.extra["group"] == group]


def errors_of(values: Mapping[str, Any]) -> dict[str, str]:
    """One sentence per wrong setting; the key "" holds what is wrong between settings."""
    try:
        RunSpec.model_validate(values)
    except ValidationError as error:
        return _sentences(error)
    return {}


def make_spec(values: Mapping[str, Any]) -> RunSpec:
    """Build a RunSpec from values or their texts; raises UserError naming the first wrong one."""
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
            found.setdefault(name, f"{name} must be {setting.expected}; got {_quote(got)}.")
    return found


def _quote(text: str) -> str:
    shown = repr(text[:40])[1:-1]
    return f"'{shown}'" if len(text) <= 40 else f"'{shown}...'"


def unknown_setting(name: str) -> str:
    """One sentence for a setting that does not exist, with the nearest one that does."""
    from difflib import get_close_matches

    near = get_close_matches(name.replace("-", "_"), SETTINGS, n=1)
    hint = f"did you mean {near[0]}?" if near else "`cifar-tui train --help` lists the settings."
    return f"There is no setting called {_quote(name)}; {hint}"


def format_value(value: Any) -> str:
    """A setting's value as people write it: yes/no, 0.0001 as 1e-04, lists with commas."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ",".join(format_value(v) for v in value)
    return str(value)


def deciding(spec: RunSpec) -> list[str]:
    """Names of the settings that decide this spec's result: in force, and no mere label."""
    labels = {"name", "tags", "device", "val_batch_size"}
    values = spec.model_dump()
    return [n for n, s in SETTINGS.items() if n not in labels and s.applies(values)]


def changed(spec: RunSpec) -> dict[str, Any]:
    """The settings in force that differ from their defaults, without name and tags."""
    values = spec.model_dump()
    return {
        n: values[n]
        for n, s in SETTINGS.items()
        if values[n] != s.default and n not in ("name", "tags", "data") and s.applies(values)
    }
