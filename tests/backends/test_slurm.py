"""Slurm without Slurm: what it is asked, and what its answers mean; tests/slurm has a real one."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cifar_tui.backends import choices as backends
from cifar_tui.backends import sbatch, slurm
from cifar_tui.backends.choices import Wish, check_wish, make_backend
from cifar_tui.backends.slurm import Slurm
from cifar_tui.backends.slurm_job import train_in_job
from cifar_tui.errors import UserError
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.record import Progress, waiting_job
from cifar_tui.runs.steer import order
from cifar_tui.spec import RunSpec

PATIENCE = 60.0


class FakeSlurm:
    """Answers Slurm's commands; jobs stay PENDING until a test changes them."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.jobs: dict[str, str] = {}
        self.restarts = 0
        self.refuses = ""

    def ask(self, command: Sequence[str], text: str = "") -> str:
        self.asked.append(list(command))
        if command[0] == "sbatch":
            if self.refuses:
                raise sbatch.Refused(self.refuses)
            places = next(a for a in command if a.startswith("--array=")).partition("=")[2]
            count = int(places.partition("%")[0].partition("-")[2]) + 1
            number = 100 + len(self.named("sbatch"))
            self.jobs |= {f"{number}_{place}": "PENDING" for place in range(count)}
            return f"{number};cluster\n"
        if command[0] == "squeue":
            lines = [
                f"{job:<40}|{state:<20}|{self.restarts:<10}|{'Priority':<80}"
                for job, state in self.jobs.items()
            ]
            return "\n".join(lines)
        if command[0] == "scancel":
            for job in command[2:]:
                self.jobs.pop(job)
        return ""

    def named(self, *words: str) -> list[list[str]]:
        return [one for one in self.asked if one[: len(words)] == list(words)]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    found = FakeSlurm()
    monkeypatch.setattr(sbatch, "ask", found.ask)
    monkeypatch.setattr(slurm, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(slurm, "ASK_EVERY", 0.02)
    monkeypatch.setattr(slurm, "SETTLE", 0.05)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Slurm]]:
    started: list[Slurm] = []

    def begin(*folders: RunFolder, **options: str) -> Slurm:
        started.append(Slurm(tmp_path, options))
        for folder in folders:
            started[-1].add(folder)
        started[-1].start()
        return started[-1]

    yield begin
    for backend in started:
        backend.close()
        backend.join()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def make_runs(runs: Path, count: int) -> list[RunFolder]:
    return [RunFolder.create(runs, RunSpec(data="demo", seed=seed)) for seed in range(count)]


def look(folder: RunFolder) -> Run:
    return Runs(folder.path.parent).get(folder.id)


def become(folder: RunFolder, status: str) -> None:
    folder.write_summary(look(folder).summary.model_copy(update={"status": status}))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("partition", "gpu;reboot"),
        ("partition", "--uid=0"),
        ("account", "a b"),
        ("time", "soon"),
        ("time", "1:00\n"),
        ("gpus", "0"),
        ("mem", "8G --wrap=ls"),
        ("at_once", "-1"),
        ("sbatch", "script.sh"),
        ("sbatch", "--wrap=ls"),
        ("sbatch", "--arr=0-9"),
        ("sbatch", "-p gpu"),
        ("sbatch", "'--comment=a\nb'"),
        ("sbatch", "--comment='open"),
    ],
)
def test_an_option_that_sbatch_must_not_get_is_refused(option: str, value: str) -> None:
    with pytest.raises(UserError, match=r"[Ss]"):
        sbatch.check_options({option: value})


def test_options_become_arguments_of_sbatch() -> None:
    options = {"partition": "gpu,long", "time": "1-12:00", "gpus": "a100:1", "at_once": "4"}
    more = {"sbatch": "--constraint='fast|big' --exclusive"}
    assert sbatch.check_options(options | more) == [
        *("--partition=gpu,long", "--time=1-12:00", "--gpus=a100:1"),
        *("--constraint=fast|big", "--exclusive"),
    ]


def test_the_script_names_the_run_of_its_place_whatever_its_folder_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/echo")
    text = sbatch.script(["first", "$(touch x); 'b' \"c\""], tmp_path / "my runs")
    done = subprocess.run(
        ["/bin/sh"],
        input=text,
        env={"SLURM_ARRAY_TASK_ID": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith(f"--runs {tmp_path}/my runs $(touch x); 'b' \"c\"\n")
    assert not (tmp_path / "x").exists()


def test_runs_queued_together_are_one_array_and_wait_in_slurm(
    fake: FakeSlurm, start: Callable[..., Slurm], tmp_path: Path
) -> None:
    folders = make_runs(tmp_path, 3)
    backend = start(*folders, at_once="2", partition="gpu")
    until(lambda: all(look(f).progress.worker.job for f in folders))  # type: ignore[union-attr]
    (command,) = fake.named("sbatch")
    assert {"--array=0-2%2", "--partition=gpu", "--requeue"} <= set(command)
    assert backend.queued == [folder.id for folder in folders]
    assert [look(f).progress.worker.job for f in folders] == [  # type: ignore[union-attr]
        *("slurm:101_0", "slurm:101_1", "slurm:101_2")
    ]
    assert not any(look(folder).left_behind for folder in folders)
    become(folders[0], "running")
    until(lambda: backend.training == [folders[0].id])
    become(folders[0], "queued")
    until(lambda: backend.training == [] and len(backend.queued) == 3)
    become(folders[0], "finished")
    until(lambda: backend.own == [folder.id for folder in folders[1:]])
    assert backend.outlives and backend.problem == ""


def test_orders_reach_slurm(fake: FakeSlurm, start: Callable[..., Slurm], tmp_path: Path) -> None:
    first, second, third = make_runs(tmp_path, 3)
    backend = start(first, second, third)
    until(lambda: look(third).progress.worker.job)  # type: ignore[union-attr]
    backend.hold()
    until(lambda: fake.named("scontrol", "uhold", "101_0,101_1,101_2"))
    assert backend.drop(first.id)
    order(look(second), "stop")
    until(lambda: look(second).status == "stopped" and fake.jobs.keys() == {"101_2"})
    until(lambda: backend.own == [third.id])
    backend.go_on()
    until(lambda: fake.named("scontrol", "release", "101_2"))


def test_closing_hands_in_what_was_queued_and_cancels_nothing(
    fake: FakeSlurm, start: Callable[..., Slurm], tmp_path: Path
) -> None:
    (folder,) = make_runs(tmp_path, 1)
    backend = start(folder)
    backend.close()
    backend.join()
    assert fake.jobs == {"101_0": "PENDING"} and not fake.named("scancel")
    later = start()
    until(lambda: later.queued == [folder.id])
    assert len(fake.named("sbatch")) == 1


def test_a_refusal_holds_the_runs_until_they_are_tried_again(
    fake: FakeSlurm, start: Callable[..., Slurm], tmp_path: Path
) -> None:
    fake.refuses = "Invalid account"
    (folder,) = make_runs(tmp_path, 1)
    backend = start(folder)
    until(lambda: backend.problem == "Slurm does not take the runs: Invalid account")
    assert backend.held and backend.queued == [folder.id]
    fake.refuses = ""
    backend.go_on()
    until(lambda: fake.jobs and backend.problem == "")


def test_a_run_whose_job_is_gone_is_not_waited_for(
    fake: FakeSlurm,
    start: Callable[..., Slurm],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slurm, "LOST_AFTER", 0.1)
    waiting, begun = make_runs(tmp_path, 2)
    backend = start(waiting, begun)
    until(lambda: look(begun).progress.worker.job)  # type: ignore[union-attr]
    become(begun, "running")
    fake.jobs.clear()
    until(lambda: backend.own == [])
    assert (look(waiting).status, look(begun).status) == ("stopped", "crashed")
    assert "see .slurm/101_1.log" in look(begun).summary.reason


def test_a_folder_cannot_name_a_job_that_is_none(fake: FakeSlurm, tmp_path: Path) -> None:
    (folder,) = make_runs(tmp_path, 1)
    for word in ("slurm:--user=root", "slurm:1_2,3", "nothing:1", "thread:1", "ray:1", "slurm:"):
        folder.write_progress(Progress(worker=waiting_job(word)))
        assert not backends.withdraw(look(folder))
    assert fake.asked == []


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process as the job 101_0, whose ways of ending are undone."""
    for name in ("CIFAR_TUI_JOB", "CIFAR_TUI_LOCKS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "101")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("notice", "state", "restarts", "status", "requeued"),
    [
        (signal.SIGUSR1, "RUNNING", 0, "queued", True),
        (signal.SIGTERM, "RUNNING", 0, "queued", True),
        (signal.SIGTERM, "COMPLETING", 1, "queued", False),
        (signal.SIGTERM, "COMPLETING", 0, "stopped", False),
    ],
)
def test_a_job_that_is_told_to_end_gives_its_run_back_unless_it_was_cancelled(
    fake: FakeSlurm,
    job: None,
    tmp_path: Path,
    tiny_course: Path,
    notice: signal.Signals,
    state: str,
    restarts: int,
    status: str,
    requeued: bool,
) -> None:
    spec = RunSpec(data=str(tiny_course), epochs=100_000)
    folder = RunFolder.create(tmp_path / "runs", spec)

    def notify() -> None:
        until(lambda: look(folder).summary.epochs_done >= 1)
        fake.jobs, fake.restarts = {"101_0": state}, restarts
        os.kill(os.getpid(), notice)

    teller = threading.Thread(target=notify)
    teller.start()
    assert train_in_job(tmp_path / "runs", folder.id) == 0
    teller.join()
    run = look(folder)
    assert run.status == status and not run.left_behind
    assert bool(fake.named("scontrol", "requeue", "101_0")) == requeued


def test_a_time_limit_too_short_for_an_epoch_ends_the_run(
    fake: FakeSlurm, job: None, tmp_path: Path
) -> None:
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data="demo", model="resnet"))

    def notify() -> None:
        until(lambda: look(folder).status == "running")
        fake.jobs = {"101_0": "RUNNING"}
        os.kill(os.getpid(), signal.SIGUSR1)

    teller = threading.Thread(target=notify)
    teller.start()
    train_in_job(tmp_path / "runs", folder.id)
    teller.join()
    assert look(folder).status == "stopped"
    assert "too short for an epoch" in look(folder).summary.reason
    assert not fake.named("scontrol", "requeue")


def test_slurm_is_offered_where_it_is_and_takes_its_own_options_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match="login node"):
        check_wish(Wish("slurm"))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    backend, _ = make_backend(tmp_path, Wish("slurm", options={"gpus": "1"}))
    with pytest.raises(UserError, match="names device cuda:1"):
        backend.check(RunSpec(device="cuda:1"))
    with pytest.raises(UserError, match="--devices is not for Slurm"):
        make_backend(tmp_path, Wish("slurm", "cuda:0"))
    with pytest.raises(UserError, match="no option 'nodes'"):
        make_backend(tmp_path, Wish("slurm", options={"nodes": "2"}))
