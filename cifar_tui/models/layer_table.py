"""The layer-by-layer table of a network: shapes, parameters and multiply-adds for one image."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cifar_tui.models.build import build_model
from cifar_tui.spec.settings import RunSpec
from cifar_tui.table import Table, figures

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer at work on a batch of one; shapes start with that batch.

    `separable_multiply_adds` is what a 3x3 convolution would cost as depthwise separable.
    """

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    weight_shape: Shape | None
    parameters: int
    multiply_adds: int
    separable_multiply_adds: int | None

    @property
    def separable_speedup(self) -> float | None:
        """How many times fewer multiply-adds the depthwise separable convolution needs."""
        if self.separable_multiply_adds is None:
            return None
        return self.multiply_adds / self.separable_multiply_adds


@dataclass(frozen=True)
class ModelSummary:
    """All layers in the order they run, and the totals for one image.

    `separable_multiply_adds` is the total with every 3x3 convolution made depthwise separable.
    """

    layers: tuple[Layer, ...]
    parameters: int
    multiply_adds: int
    separable_multiply_adds: int

    def to_dict(self) -> dict[str, Any]:
        """Every figure under its own name, ready for JSON."""
        return asdict(self)

    def table(self) -> Table:
        """A row for each layer with weights, as in the report, and one for their totals.

        Shapes leave out the leading batch of one; `separable` is what a 3x3 convolution would cost
        as a depthwise separable one.
        """
        rows: list[tuple[str, ...]] = [
            (
                layer.name,
                _shape(layer.input_shape[1:]),
                _shape(layer.output_shape[1:]),
                _shape(layer.weight_shape),
                _thousands(layer.parameters),
                _thousands(layer.multiply_adds),
                _thousands(layer.separable_multiply_adds),
            )
            for layer in self.layers
            if layer.weight_shape is not None
        ]
        totals = (self.parameters, self.multiply_adds, self.separable_multiply_adds)
        rows.append(("total", "", "", "", *map(_thousands, totals)))
        counts = figures("params", "mult-adds", "separable")
        return Table(["layer", "input", "output", "weight", *counts], rows)


@dataclass(frozen=True)
class Answer:
    """One computation question of the assignment with its exact answer."""

    question: str
    answer: str
    figures: tuple[float, ...]


def summarise(model: nn.Module, input_shape: Shape = (3, 32, 32)) -> ModelSummary:
    """Run one black image of `input_shape` (C, H, W) through the model and note every layer.

    The model keeps its weights, BN statistics and training flags; it may be on the meta device.
    """
    found: list[Layer] = []
    hooks = [
        module.register_forward_hook(_recorder(name, found))
        for name, module in model.named_modules()
        if not any(module.children()) and not isinstance(module, nn.Identity)
    ]
    like = next(model.parameters(), torch.empty(0))
    try:
        with _evaluating(model), torch.no_grad():
            model(torch.zeros(1, *input_shape, device=like.device, dtype=like.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return ModelSummary(
        layers=tuple(found),
        parameters=sum(p.numel() for p in model.parameters()),
        multiply_adds=sum(layer.multiply_adds for layer in found),
        separable_multiply_adds=sum(
            layer.separable_multiply_adds or layer.multiply_adds for layer in found
        ),
    )


def summarise_spec(spec: RunSpec) -> ModelSummary:
    """Summarise the spec's network in milliseconds; draws no random numbers."""
    with torch.device("meta"):
        model = build_model(spec)
    return summarise(_with_any_weights(model))


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _thousands(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def computation_answers() -> list[Answer]:
    """The assignment's computation questions 2.1 to 2.5, each read off a real layer."""
    with torch.device("meta"):
        dense = _only(nn.Linear(3 * 100 * 100, 100), (3 * 100 * 100,))
        conv = _only(nn.Conv2d(3, 100, 3), (3, 100, 100))
        pointwise = _only(nn.Conv2d(16, 1, 1), (16, 100, 100))
        unpadded = _only(nn.Conv2d(16, 32, 5), (16, 100, 100))
        plain = [_only(nn.Conv2d(n, n, 3, padding=1), (n, 32, 32)) for n in (16, 32, 64)]
    _, channels, height, width = unpadded.output_shape
    speedups = [layer.separable_speedup or 0.0 for layer in plain]
    limit = 3 * 3
    return [
        Answer(
            "Parameters of a fully connected layer from a 100x100 RGB image to 100 neurons",
            f"{dense.parameters:,}",
            (dense.parameters,),
        ),
        Answer(
            "Parameters of a convolution of 100 filters of 3x3 on the same image",
            f"{conv.parameters:,}",
            (conv.parameters,),
        ),
        Answer(
            "Parameters of one 1x1 filter on 100x100x16",
            f"{pointwise.parameters:,}",
            (pointwise.parameters,),
        ),
        Answer(
            "Output of 32 filters of 5x5 on 100x100x16, stride 1, no padding",
            f"{height}x{width}x{channels}",
            (height, width, channels),
        ),
        Answer(
            "Speed-up of a depthwise separable 3x3 convolution, for 16, 32, 64 output channels",
            ", ".join(f"{s:.2f}" for s in speedups) + f"; towards {limit} for many channels",
            (*speedups, limit),
        ),
    ]


def _only(layer: nn.Module, input_shape: Shape) -> Layer:
    return summarise(_with_any_weights(layer), input_shape).layers[0]


def _with_any_weights(model: nn.Module) -> nn.Module:
    """Move from meta to the CPU, unset: a forward pass on meta takes torch a second of imports."""
    return model.to_empty(device="cpu")


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode for a while; each module then gets its own training flag back."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, flag in training.items():
            module.training = flag


def _recorder(name: str, found: list[Layer]) -> Callable[..., None]:
    """A forward hook that appends the module's Layer to `found`."""

    def record(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = getattr(module, "weight", None)
        found.append(
            Layer(
                name=name or type(module).__name__,
                kind=type(module).__name__,
                input_shape=tuple(inputs[0].shape),
                output_shape=tuple(output.shape),
                weight_shape=None if weight is None else tuple(weight.shape),
                parameters=sum(p.numel() for p in module.parameters()),
                multiply_adds=_multiply_adds(module, output),
                separable_multiply_adds=_separable_multiply_adds(module, output),
            )
        )

    return record


def _multiply_adds(module: nn.Module, output: Tensor) -> int:
    """Multiply-adds of a convolution or fully connected layer, without bias; 0 for others."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        per_output = module.weight[0].numel()
        return per_output * output.numel()
    return 0


def _separable_multiply_adds(module: nn.Module, output: Tensor) -> int | None:
    """9*M*D*D + M*N*D*D for a plain 3x3 convolution, D the output size (Howard et al. 2017)."""
    if not isinstance(module, nn.Conv2d) or module.kernel_size != (3, 3) or module.groups != 1:
        return None
    area = output.shape[2] * output.shape[3]
    return (9 + module.out_channels) * module.in_channels * area
