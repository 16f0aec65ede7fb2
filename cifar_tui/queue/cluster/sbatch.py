"""Slurm's commands as far as runs need them: no shell between, and every option checked."""

import os
import re
import shlex
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.text import plain
from cifar_tui.training.process import program

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
    *("array", "chdir", "clusters", "error", "gid", "help", "hold", "input", "job-name"),
    *("no-requeue", "open-mode", "output", "parsable", "quiet", "requeue", "signal", "test-only"),
    *("uid", "usage", "wait", "wrap"),
)
"""Arguments of sbatch on which the runs' jobs depend."""
JOB_NAME = "cifar-tui"
LOGS = ".slurm"
"""Beside the runs: what jobs could not write into a run's folder."""
NOTICE = 60
"""Seconds before its time limit at which a job is told of it."""
AT_A_TIME = 500
"""Jobs named in one command, whose arguments have a limit."""
SUBMIT_WITHIN, ANSWER_WITHIN = 60.0, 15.0
"""Seconds that sbatch and the other commands may take."""
CHANGES_ANSWERS = ("SQUEUE_", "SINFO_", "SCANCEL_", "SBATCH_WAIT", "SBATCH_ARRAY")
"""How names of variables begin by which a user changes what the commands do or print."""


SILENCE = re.compile(r"contact|timed out|communication|backup controller", re.I)


class Refused(Exception):
    """Slurm does not do it, or does not answer; says why."""


class Silent(Refused):
    """It does not answer, so that it may do it later, or have done it."""


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
    if "\\" in str(runs) or not str(runs).isprintable():
        raise Refused(f"it cannot write beside runs in '{plain(str(runs))}'; use another --runs")
    (runs / LOGS).mkdir(exist_ok=True)
    limit = limit_of(options)
    log = str(runs / LOGS).replace("%", "%%")
    array = f"0-{len(run_ids) - 1}" + (f"%{limit}" if limit else "")
    command = ["sbatch", "--parsable", f"--job-name={JOB_NAME}", f"--array={array}", "--requeue"]
    command += [f"--output={log}/%A_%a.log", "--open-mode=append", f"--signal=B:USR1@{NOTICE}"]
    command += check_options(options)
    answer = ask(command, script(run_ids, runs), seconds=SUBMIT_WITHIN)
    number = answer.strip().partition(";")[0]
    if not number.isdecimal():
        raise Refused(f"sbatch answered '{answer.strip()[:100]}'")
    return [f"{number}_{place}" for place in range(len(run_ids))]


def script(run_ids: Sequence[str], runs: Path) -> str:
    """What each job of an array does: this program, on the run of its place."""
    command = program("worker", "--in-slurm", "--runs", str(runs))
    return (
        "#!/bin/sh\n"
        f"set -- {shlex.join(run_ids)}\n"
        'shift "$SLURM_ARRAY_TASK_ID"\n'
        f'exec {shlex.join(command)} "$1"\n'
    )


def hold(jobs: Collection[str]) -> None:
    """Let no waiting job of these start, until `release`; raises Refused."""
    for some in _parts(jobs):
        ask(["scontrol", "uhold", ",".join(some)])


def release(jobs: Collection[str]) -> None:
    """Let held jobs start again; raises Refused."""
    for some in _parts(jobs):
        ask(["scontrol", "release", ",".join(some)])


def cancel(jobs: Collection[str]) -> None:
    """Cancel jobs; raises Refused. Not by state: that would take the whole array."""
    for some in _parts(jobs):
        ask(["scancel", "--quiet", *some])


def requeue(job: str) -> None:
    """Put a job that runs back into the queue; raises Refused."""
    ask(["scontrol", "requeue", job])


def _parts(jobs: Collection[str]) -> Iterator[list[str]]:
    names = sorted(jobs)
    for begin in range(0, len(names), AT_A_TIME):
        yield names[begin : begin + AT_A_TIME]


def ask(command: Sequence[str], text: str = "", seconds: float = ANSWER_WITHIN) -> str:
    """What one of Slurm's commands prints, given `text` to read; raises Refused.

    It has a session of its own, so that Ctrl-C does not end it half done.
    """
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if not k.startswith(CHANGES_ANSWERS)},
        )
    except subprocess.TimeoutExpired:
        raise Silent(f"{command[0]} gave no answer within {seconds:.0f} s") from None
    except OSError as error:
        raise Refused(f"cannot call {command[0]}: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        said = said.splitlines()[-1]
        kind = Silent if SILENCE.search(said) else Refused
        raise kind(re.sub(rf"^{command[0]}: (error|fatal): ", "", said)[:300])
    return done.stdout
