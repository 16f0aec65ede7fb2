"""Checkpoints from strangers: they fit their settings or are refused, and nothing is run."""

import io
import os
import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cifar_tui.data import official
from cifar_tui.features.import_.compute import import_checkpoint
from cifar_tui.features.predict.compute import export_predictions
from cifar_tui.features.weights.compute import read_weights
from cifar_tui.models.build import build_model
from cifar_tui.models.torch_file import read_stored
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs, read_run
from cifar_tui.runs.origin import origin_of
from cifar_tui.runs.record import Point
from cifar_tui.spec.checks import edited
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.checkpoint import Checkpoint, load
from cifar_tui.training.resume import resume_point
from cifar_tui.training.step import make_optimiser
from tests.hostile import ESCAPES, POINT, a_folder, few, points, refusal, rubbish, values

SPEC = RunSpec(data="demo", epochs=3)


def checkpoint_content() -> dict[str, Any]:
    model = build_model(SPEC)
    optimiser = make_optimiser(model, SPEC, torch.device("cpu"))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    whole = Checkpoint(
        model.state_dict(), 1, 0.01, optimiser.state_dict(), 4, SPEC, Point(**POINT)
    ).to_bytes()
    return torch.load(io.BytesIO(whole), weights_only=True)


CONTENT = checkpoint_content()
tensors = st.sampled_from(
    [
        torch.zeros(3),
        torch.zeros(()),
        torch.full((6, 3, 5, 5), float("nan")),
        torch.zeros(1).expand(10**9, 10**6),
        torch.zeros(6, 3, 5, 5, dtype=torch.int64),
        torch.zeros(6, 3, 5, 5, dtype=torch.complex64),
        torch.zeros(6, 3, 5, 5, device="meta"),
        torch.zeros(6, 3, 5, 5).to_sparse(),
    ]
)
anything = values | tensors
wrong_weights = st.builds(
    lambda name, value: {**CONTENT["state_dict"], name: value},
    st.sampled_from([*CONTENT["state_dict"], "other", 3]),  # type: ignore[list-item]
    anything,
)
wrong_fields = st.builds(
    lambda name, value: {**CONTENT, name: value}, st.sampled_from(sorted(CONTENT)), anything
)
wrong_specs = st.builds(
    lambda name, value: {**CONTENT, "spec": {**CONTENT["spec"], name: value}},
    st.sampled_from(sorted(CONTENT["spec"])),
    values,
)
wrong_bests = st.builds(lambda best: {**CONTENT, "best": best}, points)
wrong_optimisers = st.builds(
    lambda state, groups: {**CONTENT, "optimiser": {"state": state, "param_groups": groups}},
    st.just(CONTENT["optimiser"]["state"])
    | st.dictionaries(st.integers(0, 9), st.fixed_dictionaries({"momentum_buffer": anything}))
    | values,
    st.just(CONTENT["optimiser"]["param_groups"]) | values,
)
contents = st.one_of(
    st.builds(lambda weights: {**CONTENT, "state_dict": weights}, wrong_weights),
    wrong_fields,
    wrong_specs,
    wrong_bests,
    wrong_optimisers,
    anything,
)


def check_checkpoints(folder: Path, data: bytes) -> None:
    """Every way a checkpoint is read: it fits its settings, or is refused."""
    run = RunFolder.create(folder, SPEC)
    run.last.write_bytes(data)
    run.best.write_bytes(data)
    refused = refusal(lambda: load(run.last))
    known = read_run(run.path)
    resumed = not refusal(lambda: resume_point(known, SPEC, origin_of(known)))
    if refused:
        assert not resumed
    else:
        found = load(run.last)
        own = found.run in ("", run.id) and not edited(found.spec, SPEC)
        assert resumed == own
        model = build_model(found.spec)
        model.load_state_dict(found.state_dict)
        assert all(torch.isfinite(p).all() for p in model.parameters())
        optimiser = make_optimiser(model, found.spec, torch.device("cpu"))
        optimiser.load_state_dict(found.optimiser)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
        assert 0 <= found.epoch <= found.spec.epochs
        assert found.best is None or 0 <= found.best.val_acc <= 1


@few
@given(contents)
@example(CONTENT | {"epoch": 10**30})
@example(CONTENT | {"epoch": -1})
@example(CONTENT | {"epoch": float("inf")})
@example(CONTENT | {"epoch": torch.zeros(3)})
@example(CONTENT | {"format": torch.zeros(3)})
@example(CONTENT | {"format": ESCAPES})
@example(CONTENT | {"best": [1]})
@example(CONTENT | {"best": {"val_acc": "0.5"}})
@example(CONTENT | {"spec": 3})
@example(CONTENT | {"spec": {3: 4}})
@example(CONTENT | {"spec": CONTENT["spec"] | {"lr": ESCAPES}})
@example(CONTENT | {"lr": float("nan")})
@example(CONTENT | {"optimiser": {}})
@example(CONTENT | {"state_dict": {}})
@example(CONTENT | {"state_dict": torch.zeros(1).expand(10**9, 10**6)})
@example(CONTENT | {"state_dict": CONTENT["state_dict"] | {"conv1.weight": [1]}})
@example(CONTENT | {"state_dict": CONTENT["state_dict"] | {3: torch.zeros(1)}})
def test_a_checkpoint_fits_or_is_refused(content: Any) -> None:
    buffer = io.BytesIO()
    try:
        torch.save(content, buffer)
    except Exception:  # what cannot be written needs no reader
        assume(False)
    with a_folder() as folder:
        check_checkpoints(folder, buffer.getvalue())


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@few
@given(rubbish | st.builds(lambda at, new: damaged(at, new), st.integers(0), st.binary(max_size=4)))
def test_a_damaged_checkpoint_is_refused(data: bytes) -> None:
    with a_folder() as folder:
        check_checkpoints(folder, data)


def damaged(at: int, new: bytes) -> bytes:
    """A whole checkpoint with some bytes overwritten."""
    buffer = io.BytesIO()
    torch.save(CONTENT, buffer)
    whole = buffer.getvalue()
    at %= len(whole)
    return whole[:at] + new + whole[at + len(new) :]


def test_no_pickle_is_obeyed_and_no_bomb_inflated(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    buffer = io.BytesIO()
    torch.save(CONTENT | {"state_dict": Evil(victim)}, buffer)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", bytes(10**7))
    for data in (buffer.getvalue(), pickle.dumps(Evil(victim)), bomb.getvalue()):
        check_checkpoints(tmp_path / "runs", data)
        run = Runs(tmp_path / "runs").find("last")
        assert refusal(lambda run=run: export_predictions(run, tmp_path / "p.csv", data="demo"))
        (tmp_path / "x.npy").write_bytes(data)
        for name in (*official.TRAIN, official.TEST):
            (tmp_path / name).write_bytes(data)
        assert refusal(lambda: official.read(tmp_path))
    assert not victim.exists()
    assert not (tmp_path / "p.csv").exists()


class Made:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def doubled(value: Any, make: Callable[..., Any]) -> Any:
    """A trillion times the same, in some hundred bytes."""
    for _ in range(40):
        value = make((value, value))
    return value


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


WEIGHTS = CONTENT["state_dict"]
ZERO = torch.zeros(1)
GREEDY: dict[str, tuple[Any, str]] = {
    "bytes": (Made(bytearray, 2 * 10**9), "holds __builtin__.bytearray"),
    "tensor": (Made(torch.FloatTensor, 10**9), "holds torch.FloatTensor"),
    "lists": (doubled("x", list), "repeats its values"),
    "tuples": (doubled("x", tuple), "repeats its values"),
    "keys": (Made(OrderedDict, [[doubled("x", tuple), 1]]), "holds collections.OrderedDict"),
    "texts": (["x" * 10**6] * 10**5, "repeats its values"),
    "endless": (endless(), "repeats its values"),
    "float8": (torch.zeros(3, 3, dtype=torch.float8_e4m3fn), "holds torch"),
    "names": ({f"layer1.{i}.conv1.weight": ZERO[:1] for i in range(50_000)}, "more values than"),
}


@pytest.mark.parametrize("what", GREEDY)
@pytest.mark.parametrize("where", ["spec", "state_dict"])
def test_what_would_take_more_than_its_bytes_is_refused_everywhere(
    tmp_path: Path, what: str, where: str
) -> None:
    greedy, sentence = GREEDY[what]
    field = CONTENT[where] | {"name": greedy, "fc4.weight": greedy}
    torch.save(CONTENT | {where: greedy if what == "names" else field}, tmp_path / "x.pt")
    run = RunFolder.create(tmp_path / "runs", SPEC)
    run.best.write_bytes((tmp_path / "x.pt").read_bytes())
    assert sentence in refusal(lambda: load(run.best))
    assert sentence in refusal(lambda: read_weights(run.best))
    assert sentence in refusal(
        lambda: import_checkpoint(tmp_path / "x.pt", tmp_path / "imported", {"data": "demo"})
    )
    assert not (tmp_path / "imported").exists()


def test_numbers_beyond_float32_are_not_finite(tmp_path: Path) -> None:
    whole = {name: torch.full_like(w, 1e300, dtype=torch.float64) for name, w in WEIGHTS.items()}
    torch.save({"state_dict": whole}, tmp_path / "x.pt")
    assert "not finite" in refusal(lambda: read_weights(tmp_path / "x.pt"))


def test_the_format_from_before_zips_is_read(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(CONTENT, tmp_path / "new.pth")
    old, new = read_stored(tmp_path / "old.pth"), read_stored(tmp_path / "new.pth")
    assert old.keys() == new.keys() == CONTENT.keys()
    assert all(torch.equal(old["state_dict"][n], w) for n, w in WEIGHTS.items())
    assert old["spec"] == new["spec"]


@pytest.mark.parametrize(
    "what", [pytest.param(w, marks=[pytest.mark.slow] * (w == "names")) for w in GREEDY]
)
def test_the_format_from_before_zips_takes_no_more_than_its_bytes(
    tmp_path: Path, what: str
) -> None:
    old = tmp_path / "old.pth"
    content = CONTENT | {"state_dict": WEIGHTS | {"fc4.weight": GREEDY[what][0]}}
    torch.save(content, old, _use_new_zipfile_serialization=False)
    assert "safely" in refusal(lambda: read_stored(old))


def test_the_format_from_before_zips_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    old = tmp_path / "old.pth"
    torch.save(CONTENT, old, _use_new_zipfile_serialization=False)
    whole = old.read_bytes()
    for cut in range(16, len(whole), len(whole) // 20):
        old.write_bytes(whole[:cut])
        assert "old.pth is" in refusal(lambda: read_stored(old))


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)
        self.tied = self.conv


def ordinary() -> list[Any]:
    """What people save."""
    net = Net()
    adam = torch.optim.Adam([{"params": net.conv.parameters()}, {"params": net.bn.parameters()}])
    rate = torch.optim.lr_scheduler.MultiStepLR(adam, [3, 5])
    net.conv(torch.zeros(2, 3, 8, 8)).sum().backward()
    adam.step()
    history = [{"epoch": i, "train_loss": 1 / (i + 1), "val_acc": None} for i in range(500)]
    whole = torch.arange(24.0).reshape(4, 6)
    return [
        CONTENT,
        net.state_dict(),
        dict(net.named_parameters()),
        net.half().state_dict(),
        net.bfloat16().state_dict(),
        {"state_dict": WEIGHTS, "best": WEIGHTS, "history": history, "again": history},
        {"optimizer": adam.state_dict(), "rate": rate.state_dict(), "counts": Counter("abba")},
        {"pytorch-lightning_version": "2.4", "callbacks": {}, "loops": {"a": [{}]}, "x": {1, 2}},
        {"rng": torch.get_rng_state(), "size": whole.size(), "device": torch.device("cuda:0")},
        {"row": whole[1:3], "turned": whole.t(), "every": whole[:, ::2], "none": torch.zeros(0, 3)},
        {"one": torch.tensor(True), "int": torch.arange(3), "byte": torch.zeros(3).byte()},
        {"dtype": torch.float32, "text": "é\U0001f600", "big": 2**70, "less": -5, "none": None},
    ]


def equal(one: Any, other: Any) -> bool:
    """Whether both hold the same, tensors to the bit; sets and sizes come as lists and tuples."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        same = one.keys() == other.keys()
        return same and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other if isinstance(one, str | int | float | None) else other is not None


@pytest.mark.parametrize("number", range(len(ordinary())))
def test_what_people_save_is_read_as_torch_reads_it(tmp_path: Path, number: int) -> None:
    torch.save(ordinary()[number], tmp_path / "x.pt")
    expected = torch.load(tmp_path / "x.pt", weights_only=True)
    assert equal(expected, read_stored(tmp_path / "x.pt"))
