"""Several runs at once on the command line: stopped, thrown away or archived by a filter."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_tui import cli
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from cifar_tui.runs.notes import annotate
from cifar_tui.runs.record import Progress, this_worker
from tests.apps import SaveRun
from tests.apps import save_run as save_run

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Run a command; its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["runs", *arguments, "--runs", str(tmp_path / "runs")])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def some(save_run: SaveRun) -> dict[str, RunFolder]:
    """A finished, a running, a waiting and a left run, by name."""
    found = {
        "done": save_run(name="done", lr=0.1),
        "busy": save_run(name="busy", status="running", lr=0.1),
        "waits": save_run((), name="waits", status="queued"),
        "left": save_run((), name="left", status="queued"),
    }
    for name in ("busy", "waits"):
        found[name].write_progress(Progress(worker=this_worker()))
    return found


def test_all_that_trains_or_waits_is_stopped_without_a_question(
    said: Said, some: dict[str, RunFolder], tmp_path: Path
) -> None:
    code, out, _ = said("stop", "--all")
    assert code == 0
    *lines, last = out.splitlines()
    assert {line.split()[0] for line in lines} == {
        some[name].id for name in ("busy", "waits", "left")
    }
    assert last == "3 runs stopped."
    assert some["busy"].read_order() == some["waits"].read_order() == "stop"
    assert Runs(tmp_path / "runs").get(some["left"].id).status == "stopped"
    assert said("stop", "--all", "--json")[0] == 0


def test_a_filter_says_which_are_stopped(said: Said, some: dict[str, RunFolder]) -> None:
    told = json.loads(said("stop", "--filter", "lr=0.1", "--json")[1])
    assert [run["id"] for run in told["runs"]] == [some["busy"].id]
    assert said("stop", "--filter", "lr=5")[1] == "No run trains or waits.\n"
    one = json.loads(said("stop", "waits", "--json")[1])
    assert one == {"id": some["waits"].id, "order": "stop"}


@pytest.mark.parametrize("flags", [(), ("done", "--all"), ("--all", "--filter", "bn")])
@pytest.mark.parametrize("command", ["stop", "delete", "archive"])
def test_runs_are_named_or_found_not_both(
    said: Said, some: dict[str, RunFolder], command: str, flags: tuple[str, ...]
) -> None:
    code, _, problem = said(command, *flags)
    assert (code, "--filter FILTER or --all" in problem) == (2, True)


def test_a_filter_throws_away_what_has_ended_and_is_not_pinned_once_that_is_agreed(
    said: Said, some: dict[str, RunFolder], save_run: SaveRun
) -> None:
    pinned = save_run(name="pinned", lr=0.1)
    annotate(pinned.path, pinned=True)
    code, _, problem = said("delete", "--filter", "lr=0.1")
    assert code == 2 and "--yes does it." in problem and some["done"].path.is_dir()
    code, out, _ = said("delete", "--filter", "lr=0.1", "--yes")
    assert code == 0
    assert "is in the trash. Left out: 1 in training, 1 pinned." in out
    assert not some["done"].path.exists()
    assert pinned.path.is_dir() and some["busy"].path.is_dir()


def test_all_that_have_ended_are_archived(
    said: Said, some: dict[str, RunFolder], tmp_path: Path
) -> None:
    path = tmp_path / "x.zip"
    code, out, _ = said("archive", "--all", "--output", str(path))
    assert code == 0 and path.exists()
    assert "Left out: 3 not ended." in out
    assert said("archive", "--filter", "status=queued")[0] == 2
