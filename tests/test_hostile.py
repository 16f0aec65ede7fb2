"""Files from strangers: each reader takes them or refuses them in one line, and does nothing else.

HOSTILE_EXAMPLES=1000 searches longer, at random; by default the same few cases are tried.
"""

import gzip
import io
import json
import os
import pickle
import pickletools
import stat
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from cifar_tui import cli, printing
from cifar_tui.data import course, official
from cifar_tui.errors import UserError
from cifar_tui.models import build_model
from cifar_tui.progress import JsonPrinter, LinePrinter
from cifar_tui.runs.compare import compare
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.follow import Follower
from cifar_tui.runs.listing import Runs, read_epochs, read_run
from cifar_tui.runs.predictions import read_predictions
from cifar_tui.runs.record import Notes, Point, Progress, Summary, this_worker
from cifar_tui.settings import SETTINGS, make_spec
from cifar_tui.spec import RunSpec
from cifar_tui.training.checkpoint import Checkpoint, load
from cifar_tui.training.export import export_predictions
from cifar_tui.training.perform import resume_point
from cifar_tui.training.step import make_optimiser
from cifar_tui.ui.history import HistoryScreen
from cifar_tui.ui.info import info_lines
from cifar_tui.ui.table import RowTable
from cifar_tui.wording import read_toml
from tests.ui.conftest import MakeApp, make_app  # noqa: F401  (a fixture)
from tests.ui.waiting import wait_for

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", 0))
search = settings(
    max_examples=EXAMPLES or 40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
few = settings(search, max_examples=EXAMPLES or 20)

ESCAPES = "\x1b[31m\x9b2J\x07\r\n\x7f\u202e\u200b\u2066\ufeff\ud800[/red]"
texts = st.text(st.characters(exclude_categories=()), max_size=12) | st.just(ESCAPES)
numbers = (
    st.integers()
    | st.sampled_from([10**30, -(10**30), 2**63, 10**400, 10**18, -1, 0])
    | st.floats()
    | st.sampled_from([1e308, -1e308, 1e38, 5e-324])
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
RUBBISH = [
    b"",
    b"{",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"spec":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"a": %s}' % (b"9" * 5000),
    b'{"status": "finished", "status": 3}',
    b"\xff\xfe{\x00}\x00",
    b'{"name": "\xed\xa0\x80"}',
    b"\x00" * 100,
]
rubbish = (
    st.sampled_from(RUBBISH)
    | st.binary(max_size=60)
    | st.builds(lambda value: json.dumps(value).encode(), values)
)


def changed(whole: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The object with some of its fields taken out or given any value."""
    wrong = st.dictionaries(st.sampled_from(sorted(whole)), values, max_size=3)
    gone = st.sets(st.sampled_from(sorted(whole)), max_size=1)
    return st.builds(
        lambda more, less: {k: v for k, v in {**whole, **more}.items() if k not in less},
        wrong,
        gone,
    )


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def as_lines(events: list[Any]) -> bytes:
    return b"".join(as_json(event) + b"\n" for event in events)


POINT = Point(epoch=1, val_acc=0.5, val_loss=1.0, train_acc=0.5, train_loss=1.0).model_dump()
SUMMARY = Summary(
    id="x",
    name="x",
    status="finished",
    epochs_done=1,
    epochs=2,
    best=Point(**POINT),
    last=Point(**POINT),
    initial_loss=2.3,
    parameters=82_030,
    spec=RunSpec().model_dump(mode="json"),
).model_dump(mode="json")
NOTES = Notes(name="x", tags=("a",), note="b").model_dump(mode="json")
PROGRESS = Progress(worker=this_worker(), images_done=3, images=9).model_dump(mode="json")
EPOCH = {"event": "epoch", "lr": 0.1, "train_seconds": 1.0, "val_seconds": 0.1} | POINT
EPOCH |= {"images_per_second": 100.0}
META = {"host": "h", "argv": ["a"], "dataset": {"folder": "/x", "classes": ["a"]}}

points = changed(POINT) | values
summaries = changed(SUMMARY) | st.builds(
    lambda summary, best, spec: {**summary, "best": best, "spec": spec},
    changed(SUMMARY),
    points,
    changed(SUMMARY["spec"]),
)
kinds = st.sampled_from(["start", "epoch", "checkpoint", "resume", "end", "remark"])
events = changed(EPOCH) | st.builds(
    lambda event, kind: {**event, "event": kind}, changed(EPOCH), kinds
)
files = st.fixed_dictionaries(
    {"summary.json": st.builds(as_json, summaries) | rubbish},
    optional={
        "notes.json": st.builds(as_json, changed(NOTES)) | rubbish,
        "progress.json": st.builds(as_json, changed(PROGRESS)) | rubbish,
        "meta.json": st.builds(as_json, changed(META)) | rubbish,
        "events.jsonl": st.builds(as_lines, st.lists(events | values, max_size=4)) | rubbish,
        "spec.toml": rubbish,
        "control": rubbish,
    },
)


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder of its own for each example."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def good_run(runs: Path) -> str:
    folder = RunFolder.create(runs, RunSpec(name="good"))
    folder.append(EPOCH)
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"status": "finished", "best": Point(**POINT)}))
    return folder.id


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def printed(show: Callable[[], object]) -> str:
    """What is printed, which must leave the terminal alone."""
    out = io.StringIO()
    with redirect_stdout(out):
        show()
    lines = out.getvalue().split("\n")
    assert all(line.isprintable() for line in lines), lines
    return out.getvalue()


def printed_json(show: Callable[[], object]) -> Any:
    return json.loads(printed(show), parse_constant=no_constant)


def refusal(read: Callable[[], object]) -> str:
    """The sentence with which it was refused, or "" where it was read."""
    try:
        read()
    except UserError as error:
        assert str(error)
        assert str(error).isprintable(), str(error)
        return str(error)
    return ""


def show_everything(folder: Path) -> None:
    """All that reads the runs: lists, figures, comparison and followers, for people and programs."""
    runs = Runs(folder)
    found = runs.all()
    assert len(printed(lambda: printing.print_runs(found, folder)).splitlines()) > len(found)
    listed = printed_json(lambda: printing.print_json([run.to_dict() for run in found]))
    assert [run["id"] for run in listed] == [run.id for run in found]
    printed(lambda: printing.print_comparison(found))
    printed_json(lambda: printing.print_json(compare(found)))
    for run in found:
        assert run.problem.isprintable()
        printed(lambda run=run: printing.print_run(run))
        details = printed_json(lambda run=run: printing.print_json(printing.run_details(run)))
        assert details["id"] == run.id
        info_lines(run)
        look = Follower(runs, run.id).look()
        printed(lambda look=look: LinePrinter().show(look))
        for line in printed(lambda look=look: JsonPrinter().show(look)).splitlines():
            json.loads(line, parse_constant=no_constant)


@search
@given(files)
def test_a_run_folder_may_hold_anything(content: dict[str, bytes]) -> None:
    with a_folder() as folder:
        good = good_run(folder)
        bad = folder / "20260101-000000-bad"
        bad.mkdir()
        for name, data in content.items():
            (bad / name).write_bytes(data)
        show_everything(folder)
        found = {run.id: run for run in Runs(folder).all()}
        assert found[good].status == "finished"
        assert bad.name in found
        RunFolder(bad).read_order()


@pytest.mark.parametrize("content", RUBBISH)
@pytest.mark.parametrize(
    "name", ["summary.json", "notes.json", "progress.json", "meta.json", "events.jsonl"]
)
def test_rubbish_in_one_file_hides_nothing(tmp_path: Path, name: str, content: bytes) -> None:
    good = good_run(tmp_path)
    (tmp_path / good / name).write_bytes(content)
    show_everything(tmp_path)
    assert [run.id for run in Runs(tmp_path).all()] == [good]


@search
@given(st.lists(events, max_size=5))
@example([{**EPOCH, "epoch": True}, {**EPOCH, "epoch": 1.5}, {**EPOCH, "epoch": -3}])
@example([{**EPOCH, "train_loss": "1", "val_loss": [2], "lr": "x", "train_seconds": {}}])
@example([{**EPOCH, "train_loss": 1e308, "val_loss": -1e308, "images_per_second": 10**400}])
def test_epochs_are_whole_numbers_with_figures_or_gaps(lines: list[dict[str, Any]]) -> None:
    with a_folder() as folder:
        good = folder / good_run(folder)
        (good / "events.jsonl").write_bytes(as_lines(lines))
        for event in read_epochs(good):
            assert type(event["epoch"]) is int
            assert event["epoch"] > 0
            for name in ("lr", "train_loss", "val_acc", "train_seconds", "images_per_second"):
                assert type(event.get(name)) in (int, float, type(None))
                assert event.get(name) is None or abs(event[name]) < 1e39


NAMES = ["\x1b[31mred", "a\u202eb", "two\nlines", "[red]", "\x9b2J", os.fsdecode(b"\xff\xfe"), "é"]


def test_terminal_escapes_are_shown_not_obeyed(tmp_path: Path, capsys: Any) -> None:
    for name in NAMES:
        good = tmp_path / good_run(tmp_path)
        texts = dict.fromkeys(("name", "reason", "device", "source"), "x" + ESCAPES[:-7] + "[/red]")
        (good / "summary.json").write_bytes(as_json(SUMMARY | texts))
        (good / "notes.json").write_bytes(as_json({"note": name, "tags": [name], "name": name}))
        (good / "meta.json").write_bytes(as_json({name: [name], "x": {name: name}}))
        good.rename(tmp_path / f"20260101-000000-{name}")
    show_everything(tmp_path)
    capsys.readouterr()
    assert "\\x1b[31m" in printed(lambda: cli.run(["runs", "list", "--runs", str(tmp_path)]))
    for wanted in ("\x1b[2J", *(f"20260101-000000-{name}" for name in NAMES[:-1])):
        for command in ("watch", "stop", "delete", "note"):
            printed(lambda w=wanted, c=command: cli.run(["runs", c, w, "--runs", str(tmp_path)]))
            assert capsys.readouterr().err.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    "name", ["summary.json", "notes.json", "progress.json", "meta.json", "events.jsonl", "control"]
)
@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "endless", "outside"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("TOP SECRET")
    runs = tmp_path / "runs"
    good = good_run(runs)
    bad = runs / "20260101-000000-bad"
    bad.mkdir()
    (bad / "summary.json").write_bytes(as_json(SUMMARY | {"status": "running"}))
    (bad / name).unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(bad / name)
    elif kind == "folder":
        (bad / name).mkdir()
    else:
        target = {"loop": bad / name, "endless": "/dev/zero", "outside": secret}[kind]
        (bad / name).symlink_to(target)
    show_everything(runs)
    assert "SECRET" not in printed(lambda: printing.print_runs(Runs(runs).all(), runs))
    assert RunFolder(bad).read_order() is None
    assert {run.id for run in Runs(runs).all()} == {good, bad.name}
    assert secret.read_text() == "TOP SECRET"


def test_a_link_to_itself_hides_no_run(tmp_path: Path) -> None:
    good = good_run(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert [run.id for run in Runs(tmp_path).all()] == [good]


def test_a_run_folder_cannot_make_its_worker_write_elsewhere(tmp_path: Path) -> None:
    target = tmp_path / "bashrc"
    target.write_text("alias ls=ls")
    folder = RunFolder(tmp_path / "runs" / good_run(tmp_path / "runs"))
    (folder.path / "events.jsonl").unlink()
    (folder.path / "events.jsonl").symlink_to(target)
    with pytest.raises(OSError):
        folder.append({"event": "end"})
    folder.mend_events()
    assert target.read_text() == "alias ls=ls"


tomls = rubbish | st.builds(
    lambda pairs: "\n".join(f"{k} = {v}" for k, v in pairs).encode(errors="surrogatepass"),
    st.lists(
        st.tuples(
            st.sampled_from([*SETTINGS, "other"]),
            st.builds(json.dumps, scalars | st.lists(scalars, max_size=2))
            | st.sampled_from(["nan", "-inf", "1979-13-41", "9" * 5000, "[" * 3000, "'''\x1b"]),
        ),
        max_size=3,
    ),
)


@search
@given(tomls)
@example(b"x = " + b"[" * 5000)
@example(b"lr = " + b"9" * 5000)
@example(b'"\\u001b[31m" = 1')
@example(b"d = 2020-01-01T00:00:00+99:99")
def test_a_spec_file_is_read_or_refused(content: bytes) -> None:
    with a_folder() as folder:
        path = folder / "spec.toml"
        path.write_bytes(content)
        refusal(lambda: make_spec(read_toml(path)))


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/dev/null/x", "/proc/self/mem"])
def test_a_spec_or_predictions_file_must_be_a_file(path: str) -> None:
    assert refusal(lambda: read_toml(Path(path)))
    assert refusal(lambda: read_predictions(Path(path)))


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
        assert 1 <= found.epoch <= found.spec.epochs
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


def npy(header: str, data: bytes, version: int = 1) -> bytes:
    size = struct.pack("<H" if version == 1 else "<I", len(header) + 1)
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + b"\n" + data


headers = st.builds(
    lambda dtype, fortran, shape: (
        f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    ),
    st.sampled_from(
        ["|u1", "|O", "<f8", "<i8", "|V9999999", "<M8[s]", "|S0", [("\x1b", "|u1")], "x"]
    ),
    st.booleans() | st.just("1 << 9"),
    st.lists(st.integers(-2, 40) | st.sampled_from([32, 3, 10**9, 2**62, 10**30]), max_size=5).map(
        lambda shape: str(tuple(shape))
    )
    | st.sampled_from(["(2, 32, 32, 3)", "(10**9,)", "'x'", "(" * 300]),
)
arrays = rubbish | st.builds(npy, headers, st.binary(max_size=10), st.integers(1, 3))


def labels_file() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(2, dtype=np.uint8))
    return buffer.getvalue()


def images_file(order: Any = "C") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(np.zeros((2, 32, 32, 3), np.uint8), order=order))
    return buffer.getvalue()


WHOLE = {name: images_file() if "images" in name else labels_file() for name in course.NEEDED}


@search
@given(st.sampled_from(course.NEEDED), arrays, st.booleans())
@example("train-images-batch.npy", images_file("F"), False)
@example(
    "train-images-batch.npy",
    npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9000000000, 32, 32, 3), }", b""),
    True,
)
@example(
    "train-labels-batch.npy",
    npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }", b"\1\2"),
    False,
)
def test_an_array_is_read_or_refused(name: str, content: bytes, zipped: bool) -> None:
    with a_folder() as folder:
        whole = WHOLE | {name: content}
        if zipped:
            with zipfile.ZipFile(folder / "cifar10_trainval_1.zip", "w") as archive:
                for member, data in whole.items():
                    archive.writestr(member, data)
        else:
            for member, data in whole.items():
                (folder / member).write_bytes(data)
        before = set(folder.rglob("*"))
        tracemalloc.start()
        if not refusal(lambda: course.read(folder)):
            assert course.read(folder).train.images.shape == (2, 32, 32, 3)
        tracemalloc.stop()
        assert set(folder.rglob("*")) == before


members = st.tuples(
    st.sampled_from(
        [
            *course.NEEDED,
            "../train-images-batch.npy",
            "/etc/train-images-batch.npy",
            "C:\\train-images-batch.npy",
            "..\\..\\x",
            "\x1b[31m/train-images-batch.npy",
            "a/../../x",
        ]
    ),
    st.sampled_from([*WHOLE.values(), b"", b"/etc/passwd"]),
    st.sampled_from([0, stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o600]),
    st.sampled_from([0, 1]),
)


@search
@given(st.lists(members, max_size=5), st.booleans())
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_is_read_or_refused_and_never_unpacked(
    found: list[tuple[str, bytes, int, int]], whole: bool
) -> None:
    with a_folder() as outside:
        folder = outside / "data"
        folder.mkdir()
        path = folder / "cifar10_trainval_1.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in WHOLE.items() if whole else ():
                archive.writestr(name, data)
            for name, data, mode, encrypted in found:
                info = zipfile.ZipInfo(name)
                info.external_attr = mode << 16
                archive.writestr(info, data)
                archive.infolist()[-1].flag_bits |= encrypted
        refused = refusal(lambda: course.locate(folder))
        assert refused or not any(".." in name or name[0] == "/" for name, *_ in found)
        assert refused or not any(encrypted for *_, encrypted in found)
        if not refused and course.locate(folder):
            refusal(lambda: course.read(folder))
        assert set(outside.rglob("*")) == {folder, path}


def batch(data: Any = None, labels: Any = (0, 1), protocol: int = 2) -> bytes:
    images = np.zeros((2, 3072), np.uint8) if data is None else data
    return pickle.dumps({b"data": images, b"labels": list(labels)}, protocol=protocol)


def nested(depth: int) -> bytes:
    """A pickle of lists within lists, deeper than any reader's stack."""
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def deep_names() -> bytes:
    return b"\x80\x02}U\x0blabel_names]" + nested(100_000)[2:-1] + b"as."


pickles = rubbish | st.one_of(
    st.builds(pickle.dumps, values, protocol=st.integers(0, 5)),
    st.builds(batch, values, protocol=st.integers(0, 4)),
    st.builds(lambda labels: batch(labels=labels), st.lists(values, max_size=3)),
    st.builds(
        lambda at, new: (
            batch()[: at % len(batch())] + new + batch()[at % len(batch()) + len(new) :]
        ),
        st.integers(0),
        st.binary(min_size=1, max_size=3),
    ),
)


@search
@given(pickles, pickles)
@example(nested(100_000), b"")
@example(batch(), deep_names())
def test_an_official_batch_is_read_or_refused(content: bytes, meta: bytes) -> None:
    with a_folder() as folder:
        for name in (*official.TRAIN, official.TEST):
            (folder / name).write_bytes(batch())
        (folder / official.TRAIN[1]).write_bytes(content)
        (folder / official.META).write_bytes(meta)
        if not refusal(lambda: official.read(folder)):
            found = official.read(folder)
            assert found.train.images.shape[1:] == (32, 32, 3)
            assert all(name.isprintable() for name in found.classes)


def test_a_pickle_cannot_change_the_reader_or_take_its_memory(tmp_path: Path) -> None:
    for name in (*official.TRAIN, official.TEST):
        (tmp_path / name).write_bytes(batch(protocol=0))
    before = official.read(tmp_path).fingerprint
    spoil = b"\x80\x02c_codecs\nencode\nN}U\x0c__defaults__Ns\x86b."
    (tmp_path / official.TRAIN[0]).write_bytes(spoil)
    assert refusal(lambda: official.read(tmp_path))
    (tmp_path / official.TRAIN[0]).write_bytes(batch(protocol=0))
    assert official.read(tmp_path).fingerprint == before
    greedy = b"\x80\x02}r" + struct.pack("<I", 20_000_000) + b"."
    assert "LONG_BINPUT" in [op.name for op, *_ in pickletools.genops(greedy)]
    (tmp_path / official.TRAIN[0]).write_bytes(greedy)
    tracemalloc.start()
    assert refusal(lambda: official.read(tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24, "a few bytes must not claim the memory of the machine"


def tar(*found: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, kind, data in found:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


tar_members = st.tuples(
    st.sampled_from([f"{official.FOLDER}/{n}" for n in (*official.TRAIN, official.META)])
    | st.sampled_from(["../x", "/tmp/x", f"../{official.FOLDER}/data_batch_1", "\x1b[31m"]),
    st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]),
    st.sampled_from([batch(), b"", b"x"]),
)
tars = rubbish | st.lists(tar_members, max_size=7).map(lambda found: tar(*found))


@few
@given(tars | st.builds(lambda t, at: t[: at % (len(t) + 1)], tars, st.integers(0)))
@example(
    tar(
        *(
            (f"{official.FOLDER}/{n}", tarfile.REGTYPE, batch())
            for n in (*official.TRAIN, official.TEST)
        )
    )
)
def test_an_official_archive_is_read_or_refused_and_never_unpacked(content: bytes) -> None:
    with a_folder() as outside:
        path = outside / "in" / official.ARCHIVE
        path.parent.mkdir()
        path.write_bytes(content)
        refusal(lambda: official.read(path))
        assert set(outside.rglob("*")) == {path.parent, path}


def test_a_header_cannot_inflate_an_archive_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**28
    path = tmp_path / official.ARCHIVE
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(info.tobuf())
        for _ in range(2**8):
            file.write(bytes(2**20))
    tracemalloc.start()
    assert refusal(lambda: official.read(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**27


@search
@given(
    rubbish
    | st.lists(st.tuples(scalars, scalars), max_size=4).map(
        lambda rows: ("Id,Label\n" + "".join(f"{a},{b}\n" for a, b in rows)).encode(
            errors="surrogatepass"
        )
    )
)
@example(b"Id,Label\n0,7\n")
def test_predictions_are_read_or_refused(content: bytes) -> None:
    with a_folder() as folder:
        path = folder / "predictions.csv"
        path.write_bytes(content)
        if not refusal(lambda: read_predictions(path)):
            assert all(0 <= label <= 9 for label in read_predictions(path))


def hostile_runs(runs: Path) -> set[str]:
    """Thirty runs, each bad in its own way."""
    whole = [
        {
            "summary.json": as_json(SUMMARY | {"name": name}),
            "events.jsonl": as_lines([EPOCH, event]),
        }
        for name in ("x", ESCAPES[:-7] + "[/red]")
        for event in (
            EPOCH | {"epoch": 2, "train_loss": 3e38, "val_loss": -3e38, "val_acc": 1e308},
            EPOCH | {"epoch": 10**9},
            EPOCH | {"epoch": 10**400, "val_acc": "x", "train_seconds": []},
            EPOCH | {"epoch": True, "lr": {}},
            {"event": "epoch", "epoch": 2},
        )
    ]
    running = [
        {
            "summary.json": as_json(SUMMARY | {"status": "running", "epochs": epochs}),
            "progress.json": as_json(PROGRESS | wrong),
        }
        for epochs, wrong in (
            (0, {"images": -5, "phase": "train", "epoch": 10**18}),
            (10**18, {"images_per_second": 1e308, "seconds_left": float("inf")}),
            (3, {"images_done": 10**9, "phase": "train", "epoch": -(10**9)}),
            (3, {"seconds_left": -1e308, "images_per_second": -1e308}),
            (3, {"worker": PROGRESS["worker"] | {"pid": 10**30}}),
            (3, {"worker": PROGRESS["worker"] | {"host": "elsewhere", "started": 1e300}}),
        )
    ]
    figures = [
        {"summary.json": as_json(SUMMARY | wrong), "meta.json": as_json({"a": [ESCAPES], "b": {}})}
        for wrong in (
            {"best": POINT | {"val_acc": 1e308, "epoch": 10**18}},
            {"seconds": -1e308, "parameters": 10**40},
            {"epochs_done": -(10**18), "initial_loss": 1e308},
            {"spec": [], "status": "\x1b"},
        )
    ]
    rubbish_runs = [{"summary.json": content} for content in RUBBISH]
    names = set()
    for number, content in enumerate([*whole, *running, *figures, *rubbish_runs]):
        odd = NAMES[number % len(NAMES)] if number % 3 == 0 else "x"
        folder = runs / f"20260101-0000{number:02d}-{odd}"
        folder.mkdir(parents=True)
        names.add(folder.name)
        for name, data in content.items():
            (folder / name).write_bytes(data)
    return names


async def test_the_screens_show_every_hostile_run(
    make_app: MakeApp,
    tmp_path: Path,
) -> None:
    names = hostile_runs(tmp_path / "runs")
    show_everything(tmp_path / "runs")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        table = app.screen.query_one(RowTable)
        await wait_for(pilot, lambda: table.row_count == len(names))
        assert {str(row.value) for row in table.rows} == names
        for name in sorted(names):
            app.watch_run(name)
            await pilot.pause()
            await pilot.press("i")
            await pilot.pause()
            for strip in app.screen._compositor.render_strips():
                assert "".join(segment.text for segment in strip).isprintable()
            await pilot.press("escape")
        await pilot.press("f4", "space", "down", "space", "c")
        await pilot.pause()
