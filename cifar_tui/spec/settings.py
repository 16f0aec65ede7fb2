"""RunSpec: every setting of a run, declared once; form, flags, file, docs and checks read it."""

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

CLASSES = 10
SHOWN_NAME_LENGTH = 60
Role = Literal["result", "where", "label", "repeat"]
"""Whether a setting decides a run's results, where and how it is computed, or what it is called, or
tells repetitions of one run apart."""


def _setting(
    default: Any,
    group: str,
    label: str,
    help: str,
    *,
    role: Role = "result",
    sets_pace: bool = False,
    unit: str = "",
    when: Mapping[str, tuple[Any, ...]] | None = None,
    expected: str = "",
    **bounds: Any,
) -> Any:
    """Declare one setting; `when` names the settings and values under which it has an effect.

    What `sets_pace` decides how long an epoch takes.
    """
    extra: dict[str, Any] = {
        "group": group,
        "role": role,
        "sets_pace": sets_pace,
        "unit": unit,
        "when": dict(when or {}),
        "what": expected,
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
        role="where",
        expected="a folder, or demo",
        min_length=1,
    )
    normalisation: Literal["course", "true", "imagenet", "custom"] = _setting(
        "course",
        "Data",
        "Normalisation",
        "Per-channel mean and std: `course` is the template's, whose std (0.2023, 0.1994, 0.2010) is a widespread mistake; `true` has CIFAR-10's own (0.2470, 0.2435, 0.2616), `imagenet` those of ImageNet, `custom` the mean and std given",
    )
    mean: tuple[float, ...] = _setting(
        (0.5, 0.5, 0.5),
        "Data",
        "Mean",
        "Subtracted from the red, green and blue of pixels from 0 to 1",
        when={"normalisation": ("custom",)},
        expected="three numbers from 0 to 1, like 0.5,0.5,0.5",
    )
    std: tuple[float, ...] = _setting(
        (0.5, 0.5, 0.5),
        "Data",
        "Std",
        "What red, green and blue are divided by after that",
        when={"normalisation": ("custom",)},
        expected="three numbers above 0 and up to 1, like 0.5,0.5,0.5",
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
    subset: int = _setting(
        0,
        "Data",
        "Subset",
        "Train on the first n images of the training split; 0 takes all",
        sets_pace=True,
        unit="images",
        ge=0,
        le=1_000_000,
    )

    model: Literal["simplenn", "resnet"] = _setting(
        "simplenn",
        "Model",
        "Model",
        "`simplenn` is the assignment's Table 1; `resnet` is the CIFAR ResNet of He et al. 2016, section 4.2",
        sets_pace=True,
    )
    depth: int = _setting(
        20,
        "Model",
        "Depth",
        "Layers of the ResNet, 6n+2",
        sets_pace=True,
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
    width: int = _setting(
        16,
        "Model",
        "Width",
        "Channels of the ResNet's first stage; the next two have twice and four times as many",
        sets_pace=True,
        unit="channels",
        when={"model": ("resnet",)},
        ge=2,
        le=256,
    )
    conv_bias: bool = _setting(
        False,
        "Model",
        "Conv bias",
        "Give the ResNet's convolutions a bias, which the batch norm after them makes useless",
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
        role="where",
        unit="images",
        ge=1,
        le=50_000,
    )
    precision: Literal["fp32", "tf32", "bf16"] = _setting(
        "fp32",
        "Training",
        "Precision",
        "`tf32` speeds up matrix products on NVIDIA GPUs, `bf16` runs the layers in bfloat16",
        sets_pace=True,
    )
    device: str = _setting(
        "auto",
        "Training",
        "Device",
        "`auto` takes the first GPU, else the CPU",
        role="where",
        expected="auto, cpu, mps, cuda or cuda:N",
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$",
    )
    seed: int = _setting(
        0,
        "Training",
        "Seed",
        "Decides initial weights, order and augmentation",
        ge=0,
        le=2**31 - 1,
        role="repeat",
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
        0.0,
        "Optimiser",
        "L1",
        "Weight of the sum of absolute parameters in the loss",
        ge=0,
        le=10,
    )

    schedule: Literal["none", "step", "milestones", "cosine"] = _setting(
        "none",
        "Schedule",
        "Schedule",
        "How lr falls: every n epochs, at given epochs, or along a half cosine to 0",
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
        role="label",
        expected=f"at most {SHOWN_NAME_LENGTH} printable characters",
        max_length=SHOWN_NAME_LENGTH,
    )
    tags: tuple[str, ...] = _setting(
        (),
        "Record",
        "Tags",
        "Words to group runs by",
        expected="words separated by commas",
        role="label",
    )

    @field_validator("milestones", "tags", "mean", "std", mode="before")
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

    @field_validator("mean", "std")
    @classmethod
    def _three_shares(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        least = 0 if info.field_name == "mean" else math.ulp(0)
        if len(value) != 3 or not all(least <= number <= 1 for number in value):
            raise PydanticCustomError("expected", "not three numbers up to 1")
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
