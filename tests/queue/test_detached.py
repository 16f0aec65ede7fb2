"""Runs that outlive their terminal and their process: detach, watch, steer, kill, resume."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.record import Progress, this_worker
from cifar_tui.spec.settings import RunSpec
from tests.apps import SaveRun
from tests.conftest import Command, json_lines
from tests.forked import ForkedCommand
from tests.waiting import until

EXACT = ("epoch", "lr", "train_loss", "train_acc", "val_loss", "val_acc")


def only(runs: Path) -> Run:
    (run,) = Runs(runs).all()
    return run


def figures(run: Run) -> list[list[object]]:
    return [[getattr(event, name) for name in EXACT] for event in read_epochs(run.path)]


def train(folder: Path, data: Path, *flags: str) -> ForkedCommand:
    return ForkedCommand(("train", "--data", str(data), *flags), folder)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """The runs folder; what still trains in it at the end of a test is killed."""
    folder = tmp_path / "saved_model"
    yield folder
    for run in Runs(folder).all():
        if run.progress and run.status in ("running", "paused", "queued"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.progress.worker.pid, signal.SIGKILL)


def test_a_detached_run_is_watched_paused_resumed_and_stopped_from_any_shell(
    cifar: Command, runs: Path, tiny_course: Path
) -> None:
    flags = ("--data", str(tiny_course), "--epochs", "100000", "--name", "mine")
    done = cifar("train", "--detach", "--json", *flags)
    assert done.returncode == 0, done.stderr
    (run_id,) = json.loads(done.stdout)["runs"]
    until(lambda: only(runs).summary.epochs_done >= 1)
    assert cifar("runs", "pause", "mine").returncode == 0
    until(lambda: only(runs).status == "paused")
    done_epochs = only(runs).summary.epochs_done
    assert "goes on" in cifar("runs", "resume", "mine").stdout
    until(lambda: only(runs).summary.epochs_done > done_epochs)
    watcher = ForkedCommand(("runs", "watch", "mine", "--json"), runs.parent)
    assert json.loads(watcher.stdout.readline())["event"] == "start"
    assert cifar("runs", "stop", "mine").returncode == 0
    events = json_lines(watcher.stdout.read())
    assert watcher.wait() == 0
    assert events[-1]["event"] == "end"
    assert events[-1]["summary"]["status"] == "stopped"
    assert only(runs).id == run_id
    again = cifar("runs", "stop", "mine")
    assert again.returncode == 2
    assert "stopped; there is nothing to stop" in again.stderr


def test_a_stop_is_obeyed_whatever_is_ordered_before_the_trainer_looks(
    cifar: Command, runs: Path, tiny_course: Path
) -> None:
    training = train(runs.parent, tiny_course, "--epochs", "100000", "--name", "mine")
    until(lambda: any(run.summary.epochs_done for run in Runs(runs).all()))
    training.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as pool:
            words = ("pause", "stop", "pause", "stop", "pause", "pause")
            list(pool.map(lambda word: cifar("runs", word, "mine"), words))
        late = cifar("runs", "pause", "mine")
        assert late.returncode == 2 and "was asked to stop" in late.stderr
    finally:
        training.send_signal(signal.SIGCONT)
    training.wait(120)
    assert only(runs).status == "stopped"
    assert "goes on" in cifar("runs", "resume", "mine").stdout
    done_epochs = only(runs).summary.epochs_done
    until(lambda: only(runs).summary.epochs_done > done_epochs)
    assert cifar("runs", "stop", "mine").returncode == 0
    until(lambda: only(runs).status == "stopped")


def test_a_killed_run_is_shown_as_crashed_and_resumes_to_the_same_numbers(
    cifar: Command, runs: Path, tiny_course: Path, tmp_path: Path
) -> None:
    flags = ("--epochs", "6", "--augment", "--batch-norm", "--dropout", "0.1")
    whole = tmp_path / "whole"
    done = cifar("train", "--data", str(tiny_course), "--runs", str(whole), *flags)
    assert done.returncode == 0, done.stderr
    process = train(tmp_path, tiny_course, *flags)
    until(lambda: runs.exists() and Runs(runs).all() and only(runs).summary.epochs_done >= 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert only(runs).status == "crashed"
    with (only(runs).path / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "epo')
    assert cifar("runs", "resume", "last").returncode == 0
    until(lambda: only(runs).status == "finished")
    assert figures(only(runs)) == figures(only(whole))
    assert only(runs).summary.best == only(whole).summary.best
    same = cifar("export", "last", "--runs", str(whole), "--output", "a.csv")
    other = cifar("export", "last", "--output", "b.csv")
    assert same.returncode == other.returncode == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_queue_left_by_a_killed_process_is_known_as_left_behind(
    runs: Path, tiny_course: Path, tmp_path: Path
) -> None:
    process = train(tmp_path, tiny_course, "--epochs", "100000", "--grid", "lr=0.1,0.01")
    until(lambda: runs.exists() and len(Runs(runs).all()) == 2)
    until(lambda: Runs(runs).all()[0].summary.epochs_done >= 1)
    assert not Runs(runs).all()[1].left_behind
    process.kill()
    process.wait()
    first, second = Runs(runs).all()
    assert first.status == "crashed"
    assert second.status == "queued"
    assert second.left_behind


def test_two_workers_never_train_the_same_run(
    cifar: Command, runs: Path, tiny_course: Path
) -> None:
    folder = RunFolder.create(runs, RunSpec(data=str(tiny_course), epochs=3))
    command = ("worker", folder.id, "--runs", str(runs))
    both = [ForkedCommand(command, runs.parent) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    lines = (folder.path / "events.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["event"] for line in lines]
    assert kinds == ["start", *["epoch", "checkpoint"] * 3, "end"]


def test_runs_on_one_device_take_turns_and_say_so(
    runs: Path, tiny_course: Path, tmp_path: Path
) -> None:
    first = train(tmp_path, tiny_course, "--epochs", "100000", "--name", "first")
    until(lambda: runs.exists() and Runs(runs).all() and only(runs).summary.epochs_done >= 1)
    second = train(tmp_path, tiny_course, "--epochs", "1", "--name", "second")
    until(lambda: len(Runs(runs).all()) == 2 and "waits for cpu" in status_of(runs, "second"))
    assert "first" in status_of(runs, "second")
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=60) == 143
    assert status_of(runs, "first") == "stopped its program was ended by SIGTERM"
    assert second.wait(timeout=60) == 0
    assert Runs(runs).find("second").status == "finished"


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        (signal.SIGTERM, 143, "its program was ended by SIGTERM"),
        (signal.SIGINT, 130, "stopped by the user"),
    ],
)
def test_runs_in_several_processes_say_who_stopped_them(
    runs: Path, tiny_course: Path, tmp_path: Path, number: int, code: int, reason: str
) -> None:
    flags = ("--devices", "cpu:2", "--epochs", "100000", "--grid", "seed=0,1,2")
    process = train(tmp_path, tiny_course, *flags)
    until(lambda: runs.exists() and len(Runs(runs).all()) == 3)
    until(lambda: all(run.summary.epochs_done for run in Runs(runs).all()[:2]))
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    ended = [(run.status, run.summary.reason) for run in Runs(runs).all()]
    left = "in a process that is gone; resume it to train it"
    assert sorted(ended) == [("queued", left), ("stopped", reason), ("stopped", reason)]
    assert process.stderr is not None
    command = "`cifar-tui runs resume --filter status=queued`"
    assert f"1 run is left: {command} trains it." in process.stderr.read()


def test_runs_that_were_left_are_trained_at_once_by_one_command(
    runs: Path, tiny_course: Path, save_run: SaveRun, cifar: Command
) -> None:
    for seed in (1, 2):
        RunFolder.create(runs, RunSpec(data=str(tiny_course), epochs=100_000, seed=seed))
    finished = save_run()
    finished.path.rename(runs / finished.id)
    done = cifar("runs", "resume", "--filter", "status=queued")
    assert "2 runs go on in the background." in done.stdout
    until(lambda: Runs(runs).all()[0].status == "running")
    again = cifar("runs", "resume", "--all", "--json")
    assert json.loads(again.stdout) == {"runs": [], "problems": []}, "none is left"
    assert cifar("runs", "stop", "--all").returncode == 0
    until(lambda: [run.status for run in Runs(runs).all()][:2] == ["stopped"] * 2)
    named = cifar("runs", "resume", Runs(runs).all()[0].id, finished.id)
    assert named.returncode == 1
    assert "1 run goes on" in named.stdout
    assert "is finished; there is nothing to resume" in named.stderr
    cifar("runs", "stop", "--all")
    until(lambda: Runs(runs).all()[0].status == "stopped")


@pytest.mark.parametrize(
    ("module", "command"), [("cyclopts.core", ["runs", "list"]), ("torch.types", ["train"])]
)
def test_ctrl_c_amid_imports_says_nothing(tmp_path: Path, module: str, command: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "cifar_tui", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.split()[-1] == module:
            break
    for _ in range(4):
        process.send_signal(signal.SIGINT)
    said = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.wait(timeout=60) in (130, -signal.SIGINT), "as a shell would tell it: 130"
    assert said == []


SWALLOWING = """
import os, signal, sys
import pydantic
import cifar_tui.__main__

class TypeAdapter(pydantic.TypeAdapter):
    def __init__(self, *arguments):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            print("swallowed")
        super().__init__(*arguments)

pydantic.TypeAdapter = TypeAdapter
sys.argv = ["cifar-tui", "runs", "list", "--runs", "runs"]
cifar_tui.__main__.main()
"""
"""Ctrl-C while a flag is read, where pydantic passes over what is raised."""


def test_ctrl_c_while_flags_are_read_ends_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWING],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGINT
    assert done.stdout == done.stderr == ""


def status_of(runs: Path, name: str) -> str:
    run = Runs(runs).find(name)
    return f"{run.status} {run.summary.reason}"


def test_a_full_disk_pauses_training_with_the_reason_and_room_lets_it_go_on(
    runs: Path, tiny_course: Path, tmp_path: Path
) -> None:
    """A limit on file sizes stands for the full disk: writes fail in the same place."""
    process = train(tmp_path, tiny_course, "--epochs", "4")
    until(lambda: runs.exists() and Runs(runs).all() and only(runs).summary.epochs_done >= 1)
    limits = psutil.Process(process.pid)
    limits.rlimit(psutil.RLIMIT_FSIZE, (100_000, psutil.RLIM_INFINITY))
    for line in process.stderr:
        if "cannot write the run folder" in line:
            break
    else:
        raise AssertionError("nothing was said about the full disk")
    until(lambda: only(runs).status == "paused")
    assert "training goes on" in only(runs).summary.reason
    limits.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    assert process.wait(timeout=120) == 0
    assert only(runs).status == "finished"
    assert [event.epoch for event in read_epochs(only(runs).path)] == [1, 2, 3, 4]


def test_an_unreadable_last_checkpoint_falls_back_to_the_best_and_says_so(
    cifar: Command, runs: Path, tiny_course: Path
) -> None:
    cifar("train", "--data", str(tiny_course), "--epochs", "3", "--lr", "0.05")
    run = only(runs)
    reference = figures(run)
    summary = run.summary.model_copy(update={"status": "stopped", "epochs": 3})
    RunFolder(run.path).write_summary(summary)
    (run.path / "last.pt").write_bytes(b"rubbish")
    assert cifar("runs", "resume", "last").returncode == 0
    until(lambda: only(runs).status == "finished")
    text = (run.path / "events.jsonl").read_text()
    assert "last.pt is not a checkpoint" in text
    assert "Resumed from best.pt" in text
    assert figures(only(runs)) == reference


def test_a_read_only_folder_is_one_sentence(cifar: Command, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "saved_model").mkdir(mode=0o500)
    done = cifar("train", "--epochs", "1")
    assert done.returncode == 2
    assert "Cannot write a run into saved_model" in done.stderr


SHADOWED = ("random", "torch", "numpy", "queue", "statistics", "copy", "glob", "token")


@pytest.mark.parametrize(
    "how",
    [
        "--detach",
        pytest.param("foreground", marks=pytest.mark.slow),
        pytest.param("--devices=cpu:1", marks=pytest.mark.slow),
    ],
)
def test_files_in_the_working_folder_are_never_imported(
    fresh_cifar: Command, runs: Path, tmp_path: Path, tiny_course: Path, how: str
) -> None:
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text(
            f"open({str(tmp_path / 'seen')!r}, 'a').write('{name}')"
        )
    way = () if how == "foreground" else (how,)
    done = fresh_cifar("train", "--data", tiny_course, "--subset", "100", "--epochs", "1", *way)
    assert done.returncode == 0, done.stderr
    until(lambda: only(runs).status == "finished")
    assert not (tmp_path / "seen").exists()


@pytest.fixture
def stopped(runs: Path, tiny_course: Path) -> RunFolder:
    """A run to be resumed."""
    folder = RunFolder.create(runs, RunSpec(data=str(tiny_course), epochs=1))
    folder.write_summary(only(runs).summary.model_copy(update={"status": "stopped"}))
    return folder


@pytest.mark.parametrize(
    ("torch", "reason"),
    [
        ("raise ImportError('libcudart is missing')", "libcudart is missing"),
        pytest.param(
            "import os; os.kill(os.getpid(), 9)",
            "killed by SIGKILL, as the system does where",
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.parametrize("way", [(), ("--devices", "cpu:1")], ids=["thread", "processes"])
def test_a_process_in_the_background_that_dies_at_once_says_why(
    fresh_cifar: Command,
    runs: Path,
    tmp_path: Path,
    stopped: RunFolder,
    torch: str,
    reason: str,
    way: tuple[str, ...],
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text(torch)
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "broken")}
    done = fresh_cifar("runs", "resume", "last", *way, env=env)
    if way:
        until(lambda: only(runs).ended)
    else:
        assert done.returncode == 2
        assert "Training in the background ended before it began: " in done.stderr
        assert reason in done.stderr
    assert reason in only(runs).summary.reason
    watched = fresh_cifar("runs", "watch", "last")
    assert watched.returncode == 1
    assert reason in watched.stdout


def test_watching_a_run_that_was_left_behind_says_so(
    cifar: Command, runs: Path, tiny_course: Path
) -> None:
    folder = RunFolder.create(runs, RunSpec(data=str(tiny_course), name="mine"))
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    gone = this_worker().model_copy(update={"pid": ended.pid})
    folder.write_progress(Progress(worker=gone))
    done = cifar("runs", "watch", "last")
    assert done.returncode == 2
    assert "mine waits in a process that is gone; `runs resume` trains it" in done.stderr
    assert "in a process that is gone" in cifar("runs", "show", "last").stdout
