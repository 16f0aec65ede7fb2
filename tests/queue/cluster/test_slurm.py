"""Slurm without Slurm: what it is asked, and what its answers mean; tests/slurm has a real one."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import UserError
from cifar_tui.locks import Lock
from cifar_tui.queue import choices as backends
from cifar_tui.queue import train_run
from cifar_tui.queue.choices import Wish, check_wish, make_backend
from cifar_tui.queue.cluster import adapter, cluster, slurm, slurm_job
from cifar_tui.queue.cluster import job as cluster_job
from cifar_tui.queue.cluster.cluster import ClusterQueue
from cifar_tui.queue.cluster.slurm_job import train_in_job
from cifar_tui.runs.control import order
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, Runs
from cifar_tui.runs.record import Progress, this_worker, waiting_job
from cifar_tui.spec.settings import RunSpec
from tests.waiting import until

PATIENCE = 60.0


class FakeSlurm:
    """Answers Slurm's commands; jobs stay PENDING until a test changes them."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.jobs: dict[str, str] = {}
        self.fates: dict[str, str] = {}
        """What scontrol says of jobs that squeue does not know; it knows no other."""
        self.preempted = "None"
        self.restarts = 0
        self.refuses = ""
        self.takes = 100
        """So many arrays are taken before the next is refused."""
        self.silent: set[str] = set()
        """Commands that get no answer."""

    def ask(self, command: Sequence[str], text: str = "", seconds: float = 0) -> str:
        self.asked.append(list(command))
        if command[0] in self.silent:
            raise adapter.Silent("Unable to contact slurm controller")
        if list(command[:3]) == ["scontrol", "show", "config"]:
            return "ClusterName             = trial\nMaxArraySize            = 1001\n"
        if list(command[:2]) == ["scontrol", "--oneliner"]:
            if command[-1] in self.jobs:
                state = self.jobs[command[-1]]
                return f"JobState={state} Restarts={self.restarts} PreemptTime={self.preempted}"
            if self.fates.get(command[-1]) is None:
                raise adapter.Refused("slurm_load_jobs error: Invalid job id specified")
            return f"JobId=1 JobState={self.fates[command[-1]]} ExitCode=0:0 RunTime=1"
        if command[0] == "sbatch":
            if len(self.named("sbatch")) > self.takes:
                raise adapter.Refused("Job violates the limit of QOS")
            if self.refuses:
                raise adapter.Refused(self.refuses)
            places = next(a for a in command if a.startswith("--array=")).partition("=")[2]
            count = int(places.partition("%")[0].partition("-")[2]) + 1
            number = 100 + len(self.named("sbatch"))
            self.jobs |= {f"{number}_{place}": "PENDING" for place in range(count)}
            return f"{number};cluster\n"
        if command[0] == "squeue":
            lines = [f"{job:<40}|{state:<20}|{'Priority':<80}" for job, state in self.jobs.items()]
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
    monkeypatch.setattr(slurm, "ask", found.ask)
    monkeypatch.setattr(cluster, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(cluster, "ASK_EVERY", 0.02)
    monkeypatch.setattr(cluster, "SETTLE", 0.05)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ClusterQueue]]:
    started: list[ClusterQueue] = []

    def begin(*folders: RunFolder, runs: Path = tmp_path, **options: str) -> ClusterQueue:
        started.append(ClusterQueue(runs, slurm.Slurm(runs, options)))
        for folder in folders:
            started[-1].add(folder)
        started[-1].start()
        return started[-1]

    yield begin
    for backend in started:
        backend.close()
        backend.join()


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
        slurm.check_options({option: value})


def test_options_become_arguments_of_sbatch() -> None:
    options = {"partition": "gpu,long", "time": "1-12:00", "gpus": "a100:1", "at_once": "4"}
    more = {"sbatch": "--constraint='fast|big' --exclusive"}
    assert slurm.check_options(options | more) == [
        *("--partition=gpu,long", "--time=1-12:00", "--gpus=a100:1"),
        *("--constraint=fast|big", "--exclusive"),
    ]


def test_the_script_names_the_run_of_its_place_whatever_its_folder_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/echo")
    text = slurm.script(["first", "$(touch x); 'b' \"c\""], tmp_path / "my runs")
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
    fake: FakeSlurm, start: Callable[..., ClusterQueue], tmp_path: Path
) -> None:
    folders = make_runs(tmp_path, 3)
    backend = start(*folders, at_once="2", partition="gpu")
    until(lambda: all(look(f).progress.worker.job for f in folders))  # type: ignore[union-attr]
    (command,) = fake.named("sbatch")
    assert {"--array=0-2%2", "--partition=gpu", "--requeue"} <= set(command)
    assert backend.queued == [folder.id for folder in folders]
    assert [look(f).progress.worker.job for f in folders] == [  # type: ignore[union-attr]
        f"slurm:101_{place}@trial" for place in range(3)
    ]
    assert not any(look(folder).left_behind for folder in folders)
    become(folders[0], "running")
    until(lambda: backend.training == [folders[0].id])
    become(folders[0], "queued")
    until(lambda: backend.training == [] and len(backend.queued) == 3)
    become(folders[0], "finished")
    until(lambda: backend.own == [folder.id for folder in folders[1:]])
    assert backend.outlives and backend.problem == ""


def test_orders_reach_slurm(
    fake: FakeSlurm, start: Callable[..., ClusterQueue], tmp_path: Path
) -> None:
    first, second, third = make_runs(tmp_path, 3)
    backend = start(first, second, third)
    until(lambda: look(third).progress.worker.job)  # type: ignore[union-attr]
    assert backend.drop(first.id)
    order(look(second), "stop")
    until(lambda: look(second).status == "stopped" and fake.jobs.keys() == {"101_2"})
    until(lambda: backend.own == [third.id])


def test_closing_hands_in_what_was_queued_and_cancels_nothing(
    fake: FakeSlurm, start: Callable[..., ClusterQueue], tmp_path: Path
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
    fake: FakeSlurm, start: Callable[..., ClusterQueue], tmp_path: Path
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
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "LOST_AFTER", 0.1)
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
    words = ("slurm:--user=root@trial", "slurm:1_2,3@trial", "slurm:1@a b", "slurm:12_3")
    for word in (*words, "nothing:1@trial", "thread:1@trial", "ray:1@trial", "slurm:"):
        folder.write_progress(Progress(worker=waiting_job(word)))
        assert not backends.withdraw(look(folder))
    assert fake.asked == []
    folder.write_progress(Progress(worker=waiting_job("slurm:101_0@another")))
    fake.jobs = {"101_0": "PENDING"}
    assert not backends.withdraw(look(folder))
    assert fake.jobs, "another cluster's job of the same name is not ours"


def handed_in(*folders: RunFolder) -> bool:
    return all((p := look(folder).progress) and p.worker.job for folder in folders)


def one_handed_in(start: Callable[..., ClusterQueue], runs: Path) -> tuple[RunFolder, ClusterQueue]:
    """A run that Slurm has taken, and the backend that handed it in."""
    (folder,) = make_runs(runs, 1)
    backend = start(folder)
    until(lambda: handed_in(folder))
    return folder, backend


def test_a_job_that_squeue_passes_over_but_slurm_has_is_not_given_up(
    fake: FakeSlurm,
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "LOST_AFTER", 0.0)
    folder, backend = one_handed_in(start, tmp_path)
    fake.jobs.clear()
    fake.fates["101_0"] = "PENDING"
    until(lambda: len(fake.named("scontrol", "--oneliner")) > 3)
    assert look(folder).status == "queued" and backend.queued == [folder.id]
    fake.silent.add("scontrol")
    asked = len(fake.named("scontrol", "--oneliner"))
    until(lambda: len(fake.named("scontrol", "--oneliner")) > asked + 3)
    assert look(folder).status == "queued", "no answer is no verdict either"


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_run_whose_job_gave_way_gets_another_but_not_for_ever(
    fake: FakeSlurm,
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
) -> None:
    monkeypatch.setattr(cluster, "LOST_AFTER", 0.0)
    (folder,) = make_runs(tmp_path, 1)
    backend = start(folder)
    for turn in range(1, cluster.RESUBMITS + 2):
        job = f"{100 + turn}_0"
        until(lambda job=job: job in fake.jobs)
        until(lambda: handed_in(folder))
        become(folder, status)
        fake.fates[job] = "PREEMPTED"
        del fake.jobs[job]
    until(lambda: backend.own == [])
    assert look(folder).status == "crashed" and "PREEMPTED" in look(folder).summary.reason
    assert len(fake.named("sbatch")) == cluster.RESUBMITS + 1


def test_a_run_that_another_job_trains_is_left_to_it(
    fake: FakeSlurm,
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "LOST_AFTER", 0.0)
    folder, backend = one_handed_in(start, tmp_path)
    with Lock(folder.path / "lock") as theirs:
        assert theirs.take()
        become(folder, "running")
        fake.fates["101_0"] = "COMPLETED"
        del fake.jobs["101_0"]
        until(lambda: backend.own == [])
        assert look(folder).summary.status == "running"
    assert len(fake.named("sbatch")) == 1


def test_what_slurm_took_goes_on_when_it_refuses_the_rest(
    fake: FakeSlurm,
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slurm, "LARGEST_ARRAY", 2)
    fake.takes = 1
    folders = make_runs(tmp_path, 3)
    backend = start(*folders)
    until(lambda: "violates the limit" in backend.problem)
    assert backend.held and fake.jobs.keys() == {"101_0", "101_1"}
    become(folders[0], "running")
    until(lambda: backend.training == [folders[0].id])
    fake.takes = 100
    backend.go_on()
    until(lambda: handed_in(*folders))
    until(lambda: not backend.problem)


def test_a_folder_of_runs_that_is_away_for_a_moment_costs_no_job(
    fake: FakeSlurm, start: Callable[..., ClusterQueue], tmp_path: Path
) -> None:
    (folder,) = make_runs(tmp_path / "runs", 1)
    backend = start(folder, runs=tmp_path / "runs")
    until(lambda: handed_in(folder))
    (tmp_path / "runs").rename(tmp_path / "away")
    asked = len(fake.asked)
    until(lambda: len(fake.asked) > asked + 5)
    (tmp_path / "away").rename(tmp_path / "runs")
    assert fake.jobs == {"101_0": "PENDING"} and backend.queued == [folder.id]


def test_a_run_that_was_deleted_is_let_go_of_once_its_job_has_ended(
    fake: FakeSlurm,
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "LOST_AFTER", 0.1)
    gone, stays = make_runs(tmp_path, 2)
    backend = start(gone, stays)
    until(lambda: handed_in(gone, stays))
    shutil.rmtree(gone.path)
    fake.fates["101_0"] = "FAILED"
    del fake.jobs["101_0"]
    until(lambda: backend.own == [stays.id])


def test_what_a_silent_slurm_could_not_be_told_it_is_told_later(
    fake: FakeSlurm, start: Callable[..., ClusterQueue], tmp_path: Path
) -> None:
    first, second = make_runs(tmp_path, 2)
    backend = start(first, second)
    until(lambda: handed_in(first, second))
    fake.silent = {"squeue", "scontrol", "scancel"}
    assert backend.drop(first.id)
    until(lambda: "does not answer" in backend.problem)
    assert fake.jobs.keys() == {"101_0", "101_1"}
    fake.silent.clear()
    until(lambda: fake.jobs.keys() == {"101_1"})


def test_a_worry_about_slurm_is_no_failure_of_runs_that_were_trained(
    fake: FakeSlurm, start: Callable[..., ClusterQueue], tmp_path: Path
) -> None:
    folder, backend = one_handed_in(start, tmp_path)
    fake.silent = {"squeue"}
    until(lambda: "does not answer" in backend.problem)
    backend.finish()
    become(folder, "finished")
    backend.join()
    assert backend.problem == ""


def test_closing_does_not_wait_for_an_answer(
    fake: FakeSlurm,
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "LEAVE_WITHIN", 0.01)
    _, backend = one_handed_in(start, tmp_path)
    asked, answer = threading.Event(), threading.Event()

    def silent(command: Sequence[str], text: str = "", seconds: float = 0) -> str:
        asked.set()
        answer.wait(PATIENCE)
        raise adapter.Silent("no answer")

    monkeypatch.setattr(slurm, "ask", silent)
    assert asked.wait(PATIENCE)
    backend.close()
    backend.join()
    assert not backend.alive and not answer.is_set()
    answer.set()


def test_runs_that_another_program_hands_in_later_are_looked_after(
    fake: FakeSlurm,
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "SEARCH_EVERY", 0.02)
    fake.silent = {"scontrol"}
    backend = start()
    until(lambda: "Unable to contact" in backend.problem)
    fake.silent.clear()
    (folder,) = make_runs(tmp_path, 1)
    fake.jobs = {"7_0": "PENDING"}
    folder.write_progress(Progress(worker=waiting_job("slurm:7_0@trial")))
    until(lambda: backend.queued == [folder.id])
    (other,) = make_runs(tmp_path, 1)
    other.write_progress(Progress(worker=waiting_job("slurm:7_1@another")))
    searched = len(fake.named("squeue"))
    until(lambda: len(fake.named("squeue")) > searched + 5)
    assert backend.own == [folder.id], "another cluster's runs are left to it"


def test_of_many_waiting_runs_those_that_began_are_known(
    fake: FakeSlurm,
    start: Callable[..., ClusterQueue],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "AT_A_LOOK", 2)
    folders = make_runs(tmp_path, 7)
    backend = start(*folders)
    until(lambda: handed_in(*folders))
    for folder in folders:
        become(folder, "running")
    fake.jobs["101_6"] = "RUNNING"
    until(lambda: folders[-1].id in backend.training)
    until(lambda: sorted(backend.training) == sorted(folder.id for folder in folders))


def test_a_run_that_is_stale_while_its_job_waits_can_be_stopped(
    fake: FakeSlurm, tmp_path: Path
) -> None:
    (folder,) = make_runs(tmp_path, 1)
    become(folder, "running")
    gone = this_worker().model_copy(update={"pid": 2**22 - 1, "job": "slurm:7_0@trial"})
    folder.write_progress(Progress(worker=gone, counter=3))
    fake.jobs = {"7_0": "PENDING"}
    assert look(folder).status == "stale", "its process is gone, which may start again elsewhere"
    order(look(folder), "stop")
    assert backends.withdraw(look(folder)) and fake.jobs == {}
    assert look(folder).status == "stopped"


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        ("echo 'Job 1_2 not found'; exit 1", "forgotten"),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", "forgotten"),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", None),
        ("exit 1", None),
        ("echo JobId=4 JobState=PENDING Reason=Priority ExitCode=0:0 ", None),
        ("echo JobId=4 JobState=COMPLETING Reason=None ExitCode=0:15 ", None),
        ("echo JobId=4 JobState=FAILED Reason=NonZeroExitCode ExitCode=1:0 ", "ended"),
        ("echo JobId=4 JobState=CANCELLED Reason=None ExitCode=0:15 ", "cancelled"),
        ("echo JobId=4 JobState=NODE_FAIL Reason=None ExitCode=0:0 ", "lost"),
    ],
)
def test_a_job_has_a_fate_once_it_has_ended_or_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, fate: str | None
) -> None:
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{answer}\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = slurm.fate("1_2")
    assert (found and found.phase) == fate
    assert found is None or fate == "ended" or "see .slurm/1_2.log" in found.reason


def test_lines_of_squeue_that_are_none_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = "CLUSTER: trial\n\n12_3  |RUNNING |None  \n12_4|PENDING\nslurm_load_jobs: odd\n"
    monkeypatch.setattr(slurm, "ask", lambda *_, **__: answer)
    assert slurm.standings() == {"12_3": ("RUNNING", "None")}


def test_ctrl_c_and_variables_of_the_user_do_not_reach_slurms_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    monkeypatch.setenv("SBATCH_PARTITION", "gpu")
    said = slurm.ask(["sh", "-c", "env; ps -o sid= -p $$"]).splitlines()
    assert "SBATCH_PARTITION=gpu" in said
    assert not [line for line in said if line.startswith("SQUEUE_")]
    assert int(said[-1]) != os.getsid(0)


def test_thousands_of_jobs_are_named_in_several_commands(fake: FakeSlurm, tmp_path: Path) -> None:
    fake.jobs = {f"1234567_{place}": "PENDING" for place in range(1200)}
    slurm.Slurm(tmp_path, {}).cancel(list(fake.jobs))
    assert [len(command) - 2 for command in fake.named("scancel")] == [500, 500, 200]
    assert not fake.jobs


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
    ("notice", "state", "restarts", "preempted", "status", "requeued"),
    [
        (signal.SIGUSR1, "RUNNING", 0, "None", "queued", True),
        (signal.SIGTERM, "RUNNING", 0, "None", "queued", True),
        (signal.SIGTERM, "COMPLETING", 1, "None", "queued", False),
        (signal.SIGTERM, "COMPLETING", 0, "None", "stopped", False),
        (signal.SIGTERM, "COMPLETING", 0, "2026-01-01T00:00:00", "queued", False),
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
    preempted: str,
    status: str,
    requeued: bool,
) -> None:
    spec = RunSpec(data=str(tiny_course), epochs=100_000)
    folder = RunFolder.create(tmp_path / "runs", spec)

    def notify() -> None:
        until(lambda: look(folder).summary.epochs_done >= 1)
        fake.jobs, fake.restarts, fake.preempted = {"101_0": state}, restarts, preempted
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


def test_a_job_asks_a_silent_slurm_until_it_is_put_back(
    fake: FakeSlurm,
    job: None,
    tmp_path: Path,
    tiny_course: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slurm_job, "ASK_EVERY", 0.02)
    folder = RunFolder.create(tmp_path, RunSpec(data=str(tiny_course), epochs=100_000))

    def notify() -> None:
        until(lambda: look(folder).summary.epochs_done >= 1)
        fake.jobs, fake.silent = {"101_0": "RUNNING"}, {"scontrol"}
        os.kill(os.getpid(), signal.SIGUSR1)
        asked = len(fake.named("scontrol"))
        until(lambda: len(fake.named("scontrol")) > asked + 3)
        fake.silent = set()

    teller = threading.Thread(target=notify)
    teller.start()
    assert train_in_job(tmp_path, folder.id) == 0
    teller.join()
    assert look(folder).status == "queued" and fake.asked[-1] == ["scontrol", "requeue", "101_0"]


def test_a_job_ends_whose_run_another_job_trains(
    fake: FakeSlurm, job: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_job, "FREE_WITHIN", 1)
    (folder,) = make_runs(tmp_path, 1)
    other = this_worker().model_copy(update={"job": "slurm:99_5@trial"})
    folder.write_progress(Progress(worker=other, counter=9))
    fake.jobs, fake.restarts = {"99_5": "RUNNING", "101_0": "RUNNING"}, 2
    with Lock(folder.path / "lock") as theirs:
        assert theirs.take()
        assert train_in_job(tmp_path, folder.id) == 0
    assert look(folder).summary.status == "queued"
    assert not fake.named("scontrol", "requeue")


def test_a_full_disk_under_the_log_as_well_makes_the_job_wait(
    job: None, tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path, RunSpec(data=str(tiny_course), epochs=1))
    monkeypatch.setattr(train_run, "TRY_AGAIN", 0.01)
    append, refused = RunFolder.append, []

    def full(self: RunFolder, event: dict[str, Any], *, durable: bool = False) -> None:
        if len(refused) < 3:
            refused.append(event)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, event, durable=durable)

    monkeypatch.setattr(RunFolder, "append", full)
    log = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    monkeypatch.setattr("sys.stderr", log)
    assert train_in_job(tmp_path, folder.id) == 0
    monkeypatch.undo()
    with contextlib.suppress(OSError):
        log.close()
    assert look(folder).status == "finished" and len(refused) == 3


def test_slurm_is_offered_where_it_is_and_takes_its_own_options_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match="login node"):
        check_wish(Wish("slurm"))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(slurm, "ask", lambda *_, **__: "Slurmctld(primary) at host is DOWN")
    with pytest.raises(UserError, match="controller is silent; `scontrol ping`"):
        check_wish(Wish("slurm"))
    monkeypatch.setattr(slurm, "ask", lambda *_, **__: "Slurmctld(primary) at host is UP")
    backend, _ = make_backend(tmp_path, Wish("slurm", options={"gpus": "1"}))
    with pytest.raises(UserError, match="names device cuda:1"):
        backend.check(RunSpec(device="cuda:1"))
    with pytest.raises(UserError, match="--devices is not for Slurm"):
        make_backend(tmp_path, Wish("slurm", "cuda:0"))
    with pytest.raises(UserError, match="no option 'nodes'"):
        make_backend(tmp_path, Wish("slurm", options={"nodes": "2"}))
