"""Checkpoints from strangers: they fit their settings or are refused, and nothing is run."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cifar_tui.data import official
from cifar_tui.models import build_model
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.spec import RunSpec
from cifar_tui.training.checkpoint import Checkpoint, load
from cifar_tui.training.export import export_predictions
from cifar_tui.training.optimiser import make_optimiser
from cifar_tui.training.perform import resume_point
from tests.hostile import ESCAPES, POINT, a_folder, few, points, refusal, rubbish, values

SPEC = RunSpec(data="demo", epochs=3)


def checkpoint_content() -> dict[str, Any]:
    model = build_model(SPEC)
    optimiser = make_optimiser(model, SPEC, torch.device("cpu"))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    whole = Checkpoint(
        model.state_dict(), 1, 0.01, optimiser.state_dict(), 4, SPEC, POINT
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
    assert bool(refusal(lambda: resume_point(run))) == bool(refused)
    if not refused:
        found = load(run.last)
        model = build_model(found.spec)
        model.load_state_dict(found.state_dict)
        assert all(torch.isfinite(p).all() for p in model.parameters())
        optimiser = make_optimiser(model, found.spec, torch.device("cpu"))
        optimiser.load_state_dict(found.optimiser)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
        assert 0 <= found.epoch <= found.spec.epochs
        assert found.best is None or 0 <= found.best["val_acc"] <= 1


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
