"""The measuring of the app: it waits for what a person would see, and counts what is sent."""

from pathlib import Path

import psutil
import pytest

from benchmarks import terminal as bench_terminal
from benchmarks.app import F4, FIRST_WORDS, AppFigures, Stage, save_runs
from benchmarks.terminal import Terminal
from cifar_tui.errors import UserError
from cifar_tui.runs.listing import Runs


def test_the_form_history_and_the_end_are_seen_in_a_real_terminal(tmp_path: Path) -> None:
    names = save_runs(tmp_path / "saved_model", 3)
    with Terminal([], tmp_path, columns=100, rows=30) as terminal:
        painted = terminal.until(*FIRST_WORDS)
        assert painted > terminal.began
        assert terminal.sent > 2000
        terminal.press(F4)
        assert terminal.until("HISTORY", *names) > painted
        assert "\x1b" not in terminal.text
        process = psutil.Process(terminal.pid)
    assert not process.is_running()


def test_what_never_comes_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_terminal, "PATIENCE", 0.2)
    with (
        Terminal(["--version"], tmp_path) as terminal,
        pytest.raises(UserError, match="did not show no such word"),
    ):
        terminal.until("no such word")


def test_saved_runs_are_runs(tmp_path: Path) -> None:
    names = save_runs(tmp_path, 5)
    runs = Runs(tmp_path).all()
    assert [run.name for run in reversed(runs)] == names
    assert all(run.ended and run.synthetic and run.spec and not run.problem for run in runs)


@pytest.mark.slow
def test_first_paint_is_measured_in_an_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert Stage(80, 24).first_paint(starts=1) > 0
    assert list(tmp_path.iterdir()) == []


def test_figures_say_their_units_and_the_share_of_speed() -> None:
    figures = AppFigures(
        columns=140, rows=40, cpus=2, first_paint=0.4, keys=120, key_median=0.02, key_95=0.045,
        key_slowest=0.3, live_bytes=4300, idle_bytes=0, saved_runs=10_000, history=0.5,
        history_at_once=0.8, headless_speed=20_000, app_speed=19_800,
    )  # fmt: skip
    assert figures.to_dict()["kept_speed"] == pytest.approx(0.99)
    text = "\n".join(figures.lines())
    assert "0.400 s" in text and "45.0 ms" in text and "4.30 kB/s" in text and "10,000 runs" in text
