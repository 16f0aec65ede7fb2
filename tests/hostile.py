"""Strangers' values, and what must hold of all that reads them.

HOSTILE_EXAMPLES=1000 searches longer, at random; by default the same few cases are tried.
"""

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from cifar_tui.console import printing
from cifar_tui.console.progress import JsonPrinter, LinePrinter
from cifar_tui.errors import UserError
from cifar_tui.features.compare.command import print_comparison
from cifar_tui.features.compare.core import Asked, compare
from cifar_tui.features.inspect.tables import event_table, file_table, settings_lines
from cifar_tui.runs.disk import contents
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Follower, Runs, read_run
from cifar_tui.runs.record import Notes, Point, Progress, Summary, this_worker
from cifar_tui.spec.settings import RunSpec
from tests.told import tell

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
NAMES = ["\x1b[31mred", "a\u202eb", "two\nlines", "[red]", "\x9b2J", os.fsdecode(b"\xff\xfe"), "é"]
"""Names that a folder may have."""
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
    tell(folder, EPOCH)
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
    """All that reads the runs: lists, figures, comparison, followers; for people and programs."""
    runs = Runs(folder)
    found = runs.all()
    assert len(printed(lambda: printing.print_runs(found, folder)).splitlines()) > len(found)
    listed = printed_json(lambda: printing.print_json([run.to_dict() for run in found]))
    assert [run["id"] for run in listed] == [run.id for run in found]
    asked = Asked(found[0], grouped=True, metric="val_loss", axis="time", smoothing=0.6)
    printed(lambda: print_comparison(found, asked))
    printed_json(lambda: printing.print_json(compare(found, asked)))
    for run in found:
        assert run.problem.isprintable()
        printed(lambda run=run: printing.print_run(run))
        details = printed_json(lambda run=run: printing.print_json(printing.run_details(run)))
        assert details["id"] == run.id
        settings_lines(run)
        rows = event_table(run.path).rows
        assert all(cell.isprintable() for row in rows for cell in row)
        file_table(contents(run.path))
        look = Follower(runs, run.id).look()
        printed(lambda look=look: LinePrinter().show(look))
        for line in printed(lambda look=look: JsonPrinter().show(look)).splitlines():
            json.loads(line, parse_constant=no_constant)
