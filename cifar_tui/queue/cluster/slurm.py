"""Runs on a Slurm cluster: array jobs, by its own commands alone, without a shell between."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_tui.errors import UserError
from cifar_tui.queue.cluster.adapter import Cluster, Job, Refused, Silent, State
from cifar_tui.queue.cluster.cluster import ClusterQueue
from cifar_tui.queue.nodes import Node
from cifar_tui.queue.queue import Backend
from cifar_tui.runs.folder import RunFolder
from cifar_tui.text import plain
from cifar_tui.training.process import program

if TYPE_CHECKING:
    from cifar_tui.queue.choices import Wish

NAME = "slurm"
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
FIELDS = "JobArrayID:40|,State:20|,Reason:80"
UNTOLD = {"JobState": "", "ExitCode": "", "PreemptTime": "", "Restarts": "0"}
"""What scontrol may leave out of a job."""
LARGEST_ARRAY = 1000
"""Slurm's MaxArraySize is 1001 unless it was changed; larger arrays would bring nothing."""
FORGOTTEN = re.compile("Invalid job id|not found")
"""What Slurm says of a job that it knows nothing of, also where it knows others of its array."""
PING_WITHIN = 3.0
"""Seconds in which Slurm's controller has to show that it is there."""
ENDED = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
)
"""States that a job does not leave by itself."""
NODE_FIELDS = ("StateLong", "CPUsState", "Memory", "AllocMem", "Gres", "GresUsed", "NodeList")
"""A bar ends each but the last; without a number none is cut off."""
MIB = 2**20
WORKING = ("idle", "mixed", "allocated", "completing", "planned")
"""States in which a node takes work, or will when a job there has ended."""
AWAY = "*$@^!"
"""Marks after a state: not responding, maintenance, reboot asked for and begun, powering off."""
SHARES = ("shard", "mps")
"""What Slurm divides GPUs into."""
FATES = 20
"""Jobs that squeue does not know which are looked up at a time."""
NO_WORRY = {"", "None", "Priority", "Resources", "JobArrayTaskLimit", "BeginTime", "Cleaning"}
"""Why a job waits that will start by itself."""
GAVE_WAY = ("BOOT_FAIL", "COMPLETED", "NODE_FAIL", "PREEMPTED", "TIMEOUT")
"""States of a job that ended before its run did, through no fault of the run."""


def why_not(options: Mapping[str, str]) -> str:
    """Slurm can be used where its commands are and its controller answers."""
    if not all(map(shutil.which, ("sbatch", "squeue", "scontrol", "scancel"))):
        return "sbatch is not here; run cifar-tui on a login node (ssh) of a Slurm cluster."
    with contextlib.suppress(Refused):
        if "UP" in ask(["scontrol", "ping"], seconds=PING_WITHIN):
            return ""
    return "Slurm's controller is silent; `scontrol ping` says more."


def make(runs: Path, wish: "Wish") -> tuple[Backend, Sequence[str]]:
    """Slurm's queue; raises UserError for options that sbatch could not take."""
    if wish.devices:
        raise UserError("--devices is not for Slurm, whose option gpus gives each run its device.")
    check_options(wish.options)
    return ClusterQueue(runs, Slurm(runs, wish.options)), []


def withdraw(folder: RunFolder, job: Job) -> bool:
    """Stop a run whose job has not begun; tells whether it was so."""
    return Slurm(folder.path.parent, {}).withdraw(folder, job)


class Slurm(Cluster):
    """The Slurm that is here, as a queue asks it."""

    name, title = NAME, "Slurm"

    def __init__(self, runs: Path, options: Mapping[str, str]) -> None:
        self._runs = runs
        self._options = options
        self._where, self._largest_array = "", 0

    def where(self) -> str:
        if not self._largest_array:
            told = _named(ask(["scontrol", "show", "config"]))
            most = _number(told.get("MaxArraySize", "")) or LARGEST_ARRAY + 1
            self._largest_array = max(1, min(most - 1, LARGEST_ARRAY))
            self._where = told.get("ClusterName", "")
        return self._where

    def submit(self, folders: Sequence[RunFolder]) -> list[str]:
        """Queue an array with a job for each run, of those that one may have.

        `--requeue` lets Slurm itself start a job anew whose node was lost or taken.
        """
        self.where()
        run_ids = [folder.id for folder in folders[: self._largest_array]]
        runs = self._runs.resolve()
        if "\\" in str(runs) or not str(runs).isprintable():
            raise Refused(
                f"it cannot write beside runs in '{plain(str(runs))}'; use another --runs"
            )
        (runs / LOGS).mkdir(exist_ok=True)
        limit = limit_of(self._options)
        log = str(runs / LOGS).replace("%", "%%")
        array = f"0-{len(run_ids) - 1}" + (f"%{limit}" if limit else "")
        command = ["sbatch", "--parsable", f"--job-name={JOB_NAME}", f"--array={array}"]
        command += ["--requeue", f"--output={log}/%A_%a.log", "--open-mode=append"]
        command += [f"--signal=B:USR1@{NOTICE}", *check_options(self._options)]
        answer = ask(command, script(run_ids, runs), seconds=SUBMIT_WITHIN)
        number = answer.strip().partition(";")[0]
        if not number.isdecimal():
            raise Refused(f"sbatch answered '{answer.strip()[:100]}'")
        return [f"{number}_{place}" for place in range(len(run_ids))]

    def states(self, jobs: Collection[str]) -> dict[str, State]:
        """How jobs are by squeue, and by scontrol those that it does not know."""
        known, states = standings(), {}
        for job in known.keys() & set(jobs):
            state, reason = known[job]
            reason = "" if reason in NO_WORRY else reason
            states[job] = State("waiting", reason) if state == "PENDING" else State("running")
        unknown = [job for job in jobs if job not in known]
        fates = {job: fate(job) for job in unknown[:FATES]}
        return states | {job: state for job, state in fates.items() if state is not None}

    def cancel(self, jobs: Collection[str]) -> None:
        names = sorted(jobs)  # not by state: that would take the whole array
        for begin in range(0, len(names), AT_A_TIME):
            ask(["scancel", "--quiet", *names[begin : begin + AT_A_TIME]])

    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        return find_nodes(seconds, self._options.get("partition", ""))


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


def script(run_ids: Sequence[str], runs: Path) -> str:
    """What each job of an array does: this program, on the run of its place."""
    command = program("worker", "--in-slurm", "--runs", str(runs))
    return (
        "#!/bin/sh\n"
        f"set -- {shlex.join(run_ids)}\n"
        'shift "$SLURM_ARRAY_TASK_ID"\n'
        f'exec {shlex.join(command)} "$1"\n'
    )


def standings() -> dict[str, tuple[str, str]]:
    """The state and the reason of the jobs that train runs, by their names, but for those gone.

    Raises Silent when Slurm does not answer.
    """
    command = ["squeue", "--noheader", "--array", f"--name={JOB_NAME}", f"--Format={FIELDS}"]
    try:
        lines = [line.split("|", 2) for line in ask(command).splitlines()]
    except Refused as error:
        raise Silent(str(error)) from None
    known = ([field.strip() for field in line] for line in lines if len(line) == 3)
    return {job: (state, reason) for job, state, reason in known}


def show(job: str) -> dict[str, str]:
    """What scontrol says of a job, by its names for it; raises Refused."""
    return UNTOLD | _named(ask(["scontrol", "--oneliner", "show", "job", job]))


def _named(answer: str) -> dict[str, str]:
    """The values in an answer of scontrol, by their names."""
    return dict(re.findall(r"\b(\w+) *= *(\S+)", answer))


def fate(job: str) -> State | None:
    """How a job ended that squeue does not know, by what Slurm still knows.

    None for one that has not ended, or of which Slurm does not tell now. Slurm forgets a job of an
    array at once that was cancelled before its turn.
    """
    try:
        told = show(job)
    except Refused as error:
        forgotten = FORGOTTEN.search(str(error))
        reason = f"it has forgotten why; see {LOGS}/{job}.log"
        return State("forgotten", reason) if forgotten else None
    state = told["JobState"]
    if state not in ENDED:
        return None
    reason = f"{state} {told['ExitCode']}; see {LOGS}/{job}.log"
    if state == "CANCELLED":
        return State("cancelled", reason)
    return State("lost" if state in GAVE_WAY else "ended", reason)


def find_nodes(seconds: float, partition: str = "") -> tuple[Node, ...]:
    """All nodes, or a partition's, as they are now; raises Refused, also after so many seconds."""
    fields = ":|,".join(NODE_FIELDS)
    command = ["sinfo", "--noheader", "--Node", f"--Format={fields}:"]
    command += [f"--partition={partition}"] if partition else []
    try:
        return parse_nodes(ask(command, seconds=seconds))
    except Refused as error:
        raise Refused(f"Slurm does not tell of its nodes: {error}") from None


def parse_nodes(answer: str) -> tuple[Node, ...]:
    """The nodes in sinfo's answer, each once, though it names them for every partition."""
    nodes: dict[str, Node] = {}
    for line in answer.splitlines():
        fields = [field.strip() for field in line.split("|", len(NODE_FIELDS) - 1)]
        if len(fields) == len(NODE_FIELDS) and fields[-1]:
            nodes.setdefault(fields[-1], _node(*fields))
    return tuple(nodes.values())


def _node(
    state: str, cpus: str, memory: str, allocated: str, gres: str, used: str, name: str
) -> Node:
    taken, _, _, total = [_number(part) for part in f"{cpus}///".split("/")[:4]]
    whole = _count(gres, "gpu")
    size, held = _number(memory) * MIB, _number(allocated) * MIB
    return Node(
        name=name,
        state=state,
        cpus=total,
        cpus_used=taken,
        gpus=whole,
        gpus_used=_taken_gpus(whole, gres, used) if whole else None,
        memory=size if size > MIB else None,  # 1 MB stands for a node whose memory is not told
        memory_used=held if held or not taken else None,  # it is 0 where memory is not shared out
        usable=state.rstrip("*~#!%$@^-+") in WORKING and not set(state) & set(AWAY),
    )


def _taken_gpus(whole: int, gres: str, used: str) -> float:
    """GPUs that jobs have, those of which they have a part in proportion."""
    taken = float(_count(used, "gpu"))
    for kind in SHARES:
        parts = _count(gres, kind)
        taken += whole * _count(used, kind) / parts if parts else 0
    return min(taken, whole)


def _count(gres: str, kind: str) -> int:
    """How many of a kind: 6 gpu in `gpu:a100:4(IDX:0-3),gpu:h100:2(S:0-1),shard:8`."""
    items = [item.split(":") for item in re.sub(r"\([^()]*\)", "", gres).split(",")]
    return sum(_number(item[-1]) if item[1:] else 1 for item in items if item[0] == kind)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


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
