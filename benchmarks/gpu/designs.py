"""What other designs would reach: several runs on one GPU, several steps a graph, compiled nets."""

import contextlib
import time
from functools import partial

import torch

from benchmarks.gpu.kernels import seen
from benchmarks.gpu.pieces import BATCH, SIX, Setup, apart, drive
from benchmarks.gpu.results import Results, listed, short
from cifar_tui.data.dataset import Dataset
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.batches import PlainBatches, TrainBatches
from cifar_tui.training.graphed import WARM_UP, Batch, GraphedStep, make_step, preserved
from cifar_tui.training.step import Step, evaluate

WAYS = (("simplenn", "fp32"), ("simplenn", "bf16"), ("resnet20", "bf16"))
COMPILED = (("resnet20", "bf16"), ("resnet20", "tf32"), ("simplenn", "fp32"))


def six(found: Results, at: Setup) -> None:
    """Six learning rates on one GPU: one after another, a graph each, and one graph for all."""
    data = at.dataset()
    for model, precision in at.pick(WAYS, WAYS[:1]):
        base = at.spec(model, precision=precision, epochs=2)
        specs = [base.model_copy(update={"lr": base.lr * 2.0**-i}) for i in range(SIX)]
        batches = TrainBatches(data.train, base, at.device)
        seconds: dict[str, float] = {}
        with found.trying(f"one {model} {precision}"):
            plain = at.plain_step(specs[0], batches)
            step, _ = make_step(plain, batches.epoch(1))
            drive(step, plain, batches, specs[0], 1)
            alone = {name: t.clone() for name, t in plain.model.state_dict().items()}
            began = time.perf_counter()
            drive(step, plain, batches, specs[0], 1, first=2)
            seconds["one"] = time.perf_counter() - began
        if not at.smoke:
            with found.trying(f"six graphs {model} {precision}"):
                seconds["a graph each"], first = _graph_each(specs, batches, at)
                equal = apart(first.model.state_dict(), alone)[0]
                found.line(f"six graphs {model} {precision}: equal to alone: {equal}")
            with found.trying(f"six in one graph {model} {precision}"):
                seconds["branches of one graph"] = _branches(specs, batches, at)
            torch.cuda.empty_cache()
        found.keep(f"{model} {precision}", seconds)
        one = seconds.get("one", float("nan"))
        text = listed({name: f"{s:.3f} s ({s / one:.2f}x)" for name, s in seconds.items()})
        found.line(f"six {model} {precision}, an epoch: {text}")


def _graph_each(specs: list[RunSpec], batches: TrainBatches, at: Setup) -> tuple[float, Step]:
    """Seconds of an epoch of all, each replayed on a stream of its own; the first one's step."""
    plains, inputs, streams = _prepared(specs, batches, at)
    graphs = [
        _record([plain], [batch], [stream], at)
        for plain, batch, stream in zip(plains, inputs, streams, strict=True)
    ]

    def epoch(number: int) -> float:
        pairs = list(batches.epoch(number))  # one seed: the same draws for all
        at.sync()
        began = time.perf_counter()
        for pair in pairs:
            for plain, graph, batch, stream in zip(plains, graphs, inputs, streams, strict=True):
                with torch.cuda.stream(stream):
                    if len(pair[1]) < BATCH:
                        plain(*pair)
                        continue
                    _fill(batch, pair)
                    graph.replay()
        at.sync()
        return time.perf_counter() - began

    epoch(1)
    weights = {name: t.clone() for name, t in plains[0].model.state_dict().items()}
    seconds = epoch(2)
    plains[0].model.load_state_dict(weights)
    return seconds, plains[0]


def _branches(specs: list[RunSpec], batches: TrainBatches, at: Setup) -> float:
    """Seconds of an epoch of all as parallel branches of one graph."""
    plains, inputs, streams = _prepared(specs, batches, at)
    graph = _record(plains, inputs, streams, at)
    pairs = [pair for pair in batches.epoch(1) if len(pair[1]) == BATCH]

    def epoch() -> None:
        for pair in pairs:
            for batch in inputs:
                _fill(batch, pair)
            graph.replay()

    return at.seconds(epoch, most=3) * len(batches) / (BATCH * len(pairs))


def _prepared(
    specs: list[RunSpec], batches: TrainBatches, at: Setup
) -> tuple[list[Step], list[Batch], list[torch.cuda.Stream]]:
    """A plain step, a batch of its own and a stream of its own for each run."""
    windows, labels = next(batches.epoch(1))
    plains = [at.plain_step(spec, batches) for spec in specs]
    inputs = [(windows.clone(), labels.clone()) for _ in specs]
    return plains, inputs, [torch.cuda.Stream(at.device) for _ in specs]


def _record(
    plains: list[Step], inputs: list[Batch], streams: list[torch.cuda.Stream], at: Setup
) -> torch.cuda.CUDAGraph:
    """One graph of all steps, each on its own stream, as cuBLAS keeps memory for each stream."""
    main, graph = torch.cuda.Stream(at.device), torch.cuda.CUDAGraph()
    runs = list(zip(plains, inputs, streams, strict=True))
    with contextlib.ExitStack() as stack:
        for plain in plains:
            stack.enter_context(preserved(plain))
        at.sync()
        for plain, batch, stream in runs:
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    plain(*batch)
        at.sync()
        with torch.cuda.graph(graph, stream=main, capture_error_mode="thread_local"):
            for plain, batch, stream in runs:
                stream.wait_stream(main)
                with torch.cuda.stream(stream):
                    plain(*batch)
            for stream in streams:
                main.wait_stream(stream)
    at.sync()
    return graph


def _fill(batch: Batch, pair: Batch) -> None:
    batch[0].copy_(pair[0])
    batch[1].copy_(pair[1])


def designs(found: Results, at: Setup) -> None:
    """One run: several steps a graph, larger validation batches, and a compiled net."""
    data = at.dataset()
    if not at.smoke:
        for model, precision in WAYS:
            with found.trying(f"steps a graph {model} {precision}"):
                times = {
                    n: _steps_a_graph(at.spec(model, precision=precision), data, at, n)
                    for n in (1, 16)
                }
                found.keep(f"steps a graph {model} {precision}", times)
                text = listed({f"{n} a graph": f"{1e6 * s:.0f} us" for n, s in times.items()})
                found.line(
                    f"{model} {precision}, the index kept on the device: a step takes {text}"
                )
    for model in at.pick(["simplenn", "resnet20"], ["simplenn"]):
        with found.trying(f"validation {model}"):
            spec = at.spec(model)
            net = at.plain_step(spec, TrainBatches(data.train, spec, at.device)).model
            seconds = {}
            for size in (100, 1000, 5000):
                larger = spec.model_copy(update={"val_batch_size": size})
                check = PlainBatches(data.val, larger, at.device)
                work = partial(evaluate, net, check, spec, at.device)
                seconds[size] = at.seconds(work, least=0.2)
            found.keep(f"validation {model}", seconds)
            text = listed({f"{size}:": f"{1e3 * s:.1f} ms" for size, s in seconds.items()})
            found.line(f"validation {model} by its batch size: {text}")
    if at.smoke:
        return
    for model, precision in COMPILED:
        with found.trying(f"torch.compile {model} {precision}"):
            _compiled(found, at, data, at.spec(model, precision=precision))


def _steps_a_graph(spec: RunSpec, data: Dataset, at: Setup, many: int) -> float:
    """Seconds of one step where a graph holds several, each of which looks up its own batch."""
    batches = TrainBatches(data.train, spec, at.device)
    windows, labels = batches.shuffled(1)
    span = torch.arange(BATCH, device=at.device)
    step = at.plain_step(spec, batches)
    counter = torch.zeros((), dtype=torch.int64, device=at.device)

    def one() -> None:
        index = counter * BATCH + span
        step(windows[index], labels[index])
        counter.add_(1)

    stream, graph = torch.cuda.Stream(at.device), torch.cuda.CUDAGraph()
    at.sync()
    with torch.cuda.stream(stream):
        for _ in range(3):
            one()
    at.sync()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        for _ in range(many):
            one()
    times = (len(data.train) // BATCH) // many

    def epoch() -> None:
        counter.zero_()
        for _ in range(times):
            graph.replay()

    return at.seconds(epoch, most=10) / (times * many)


def _compiled(found: Results, at: Setup, data: Dataset, spec: RunSpec) -> None:
    batches = TrainBatches(data.train, spec, at.device)
    step = at.plain_step(spec, batches)
    step.model.compile(dynamic=False)
    batch = next(batches.epoch(1))
    began = time.perf_counter()
    graphed = GraphedStep(step, [batch])
    took = time.perf_counter() - began
    row = seen(partial(graphed, *batch), 10, at)
    found.keep(f"compiled {spec.model} {spec.precision}", row)
    found.line(
        f"torch.compile {spec.model} {spec.precision} in a graph: "
        f"{short(1e6 * BATCH / row['us'])} images/s ({row['us']:.0f} us, {row['kernels']:.0f} "
        f"kernels, idle {100 * row['idle']:.0f} %), compiled in {took:.0f} s"
    )
