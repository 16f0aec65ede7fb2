"""Slurm's commands as far as runs need them: no shell between, and every option checked."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_tui.errors import UserError

WORD = r"[A-Za-z0-9_][\w.,:@+-]*"
COUNT = r"[1-9]\d{0,5}"
TIME = r"\d+(:\d\d?){0,2}|\d+-\d\d?(:\d\d?){0,2}"
FLAGS = {
    "partition": ("--partition", WORD, "as in gpu"),
    "account": ("--account", WORD, "which pays"),
    "qos": ("--qos", WORD, "as in long"),
    "time": ("--time", TIME, "limit of a turn, as in 4:00:00; a run goes on in its next"),
    "gpus": ("--gpus", rf"({WORD}:)?{COUNT}", "of each run, as in 1 or a100:1"),
    "gres": ("--gres", WORD, "as in shard:1"),
    "cpus": ("--cpus-per-task", COUNT, "cores of each run"),
    "mem": ("--mem", r"\d{1,9}[KMGT]?", "of each run, as in 8G"),
}
"""Our options that are one of sbatch's: its flag, what its value looks like, and its help."""
AT_ONCE, MORE = "at_once", "sbatch"
OPTIONS = {
    **{name: help for name, (_, _, help) in FLAGS.items()},
    AT_ONCE: "runs at a time, of those queued together",
    MORE: "its other flags, as in --nice=10",
}
OURS = (
    *("array", "chdir", "error", "hold", "input", "job-name", "no-requeue", "open-mode", "output"),
    *("parsable", "quiet", "requeue", "signal", "test-only", "wait", "wrap", "help", "usage"),
)
"""Arguments of sbatch on which the runs' jobs depend."""
JOB_NAME = "cifar-tui"
LOGS = ".slurm"
"""Beside the runs: what jobs could not write into a run's folder."""
NOTICE = 60
"""Seconds before its time limit at which a job is told of it."""
LARGEST_ARRAY = 1000
"""Slurm's MaxArraySize is 1001 unless it was changed."""
PATIENCE = 60.0
"""Seconds that a command of Slurm may take."""


class Refused(Exception):
    """Slurm does not do it, or does not answer; says why."""


@dataclass(frozen=True)
class Standing:
    """How a job stands in the queue, in Slurm's words: PENDING and the reason, RUNNING, ..."""

    state: str
    reason: str = ""
    restarts: int = 0


def check_options(options: Mapping[str, str]) -> list[str]:
    """The arguments of sbatch that our options mean; raises UserError for a value that is none."""
    arguments = []
    for name, value in options.items():
        if name in FLAGS:
            flag, form, help = FLAGS[name]
            if not re.fullmatch(form, value, re.ASCII):
                raise UserError(f"Slurm's option {name} cannot be '{value}' ({help}).")
            arguments.append(f"{flag}={value}")
    limit_of(options)
    return [*arguments, *_more(options.get(MORE, ""))]


def limit_of(options: Mapping[str, str]) -> int:
    """How many runs of an array may train at the same time, 0 for all; raises UserError."""
    value = options.get(AT_ONCE, "")
    if value and not re.fullmatch(COUNT, value):
        raise UserError(f"Slurm's option {AT_ONCE} is a number of runs; got '{value}'.")
    return int(value or 0)


def _more(text: str) -> list[str]:
    """Further arguments as a person typed them: only long flags, and none of ours."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"Slurm's option {MORE} cannot be read: {error}.") from None
    for word in words:
        flag = re.fullmatch(r"--([a-z][a-z-]*)(=.*)?", word)
        if flag is None or not word.isprintable():
            raise UserError(f"Slurm's option {MORE} takes flags like --nice=10; got '{word}'.")
        if any(ours.startswith(flag[1]) for ours in OURS):
            raise UserError(f"{word} cannot be given to sbatch: runs depend on it.")
    return words


def submit(run_ids: Sequence[str], runs: Path, options: Mapping[str, str]) -> list[str]:
    """Queue a job for each run as one array; returns the jobs' names; raises Refused.

    `--requeue` lets Slurm itself start a job anew whose node was lost or taken.
    """
    runs = runs.resolve()
    (runs / LOGS).mkdir(exist_ok=True)
    limit = limit_of(options)
    log = str(runs / LOGS).replace("%", "%%")
    array = f"0-{len(run_ids) - 1}" + (f"%{limit}" if limit else "")
    command = ["sbatch", "--parsable", f"--job-name={JOB_NAME}", f"--array={array}", "--requeue"]
    command += [f"--output={log}/%A_%a.log", "--open-mode=append", f"--signal=B:USR1@{NOTICE}"]
    answer = ask([*command, *check_options(options)], script(run_ids, runs))
    number = answer.strip().partition(";")[0]
    if not number.isdecimal():
        raise Refused(f"sbatch answered '{answer.strip()[:100]}'")
    return [f"{number}_{place}" for place in range(len(run_ids))]


def script(run_ids: Sequence[str], runs: Path) -> str:
    """What each job of an array does: this program, on the run of its place."""
    command = [sys.executable, "-m", "cifar_tui", "worker", "--in-slurm", "--runs", str(runs)]
    return (
        "#!/bin/sh\n"
        f"set -- {shlex.join(run_ids)}\n"
        'shift "$SLURM_ARRAY_TASK_ID"\n'
        f'exec {shlex.join(command)} "$1"\n'
    )


def is_job(text: str) -> bool:
    """Whether this can be a job's name, as a folder's word for it is not trusted."""
    return re.fullmatch(r"\d{1,12}(_\d{1,9})?", text, re.ASCII) is not None


def standings(jobs: Collection[str]) -> dict[str, Standing]:
    """How our jobs stand; those that are gone are left out.

    Raises Refused when Slurm does not answer.
    """
    command = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", f"--name={JOB_NAME}"]
    command += ["--Format=JobArrayID:40|,State:20|,RestartCnt:10|,Reason:80"]
    lines = [line.split("|", 3) for line in ask(command).splitlines()]
    found = {
        job.strip(): Standing(state.strip(), reason.strip(), int(restarts))
        for job, state, restarts, reason in lines
    }
    return {job: found[job] for job in jobs if job in found}


def hold(jobs: Collection[str]) -> None:
    """Let no waiting job of these start, until `release`."""
    _do(["scontrol", "uhold", ",".join(jobs)])


def release(jobs: Collection[str]) -> None:
    """Let held jobs start again."""
    _do(["scontrol", "release", ",".join(jobs)])


def cancel_waiting(jobs: Collection[str]) -> None:
    """Cancel those that have not started; the others obey their run's control file."""
    with contextlib.suppress(Refused):
        waiting = [job for job, one in standings(jobs).items() if one.state == "PENDING"]
        if waiting:
            _do(["scancel", "--quiet", *waiting])  # with --state it would take the whole array


def requeue(job: str) -> None:
    """Put a job that runs back into the queue; raises Refused."""
    ask(["scontrol", "requeue", job])


def last_words(job: str) -> str:
    """How Slurm says that a job ended, as in `FAILED 1:0`; empty when it has forgotten."""
    try:
        answer = ask(["scontrol", "--oneliner", "show", "job", job])
    except Refused:
        return ""
    state = re.search(r"\bJobState=(\S+)", answer)
    code = re.search(r"\bExitCode=(\S+)", answer)
    return f"{state[1]} {code[1]}" if state and code else ""


def _do(command: Sequence[str]) -> None:
    """Ask for what may have become needless meanwhile; whether Slurm answers is seen elsewhere."""
    with contextlib.suppress(Refused):
        ask(command)


def ask(command: Sequence[str], text: str = "", seconds: float = PATIENCE) -> str:
    """What one of Slurm's commands prints, given `text` to read; raises Refused."""
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"{command[0]} gave no answer within {seconds:.0f} s") from None
    except OSError as error:
        raise Refused(f"cannot call {command[0]}: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise Refused(re.sub(rf"^{command[0]}: (error|fatal): ", "", said.splitlines()[-1])[:300])
    return done.stdout
