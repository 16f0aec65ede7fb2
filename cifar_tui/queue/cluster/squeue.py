"""What Slurm tells of its jobs and of itself; what is trained is told by the run folders alone."""

import re
from dataclasses import dataclass

from cifar_tui.queue.cluster import sbatch

FIELDS = "JobArrayID:40|,State:20|,RestartCnt:10|,Reason:80"
SHOW = ("scontrol", "--oneliner", "show", "job")
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


@dataclass(frozen=True)
class Standing:
    """How a job stands in the queue, in Slurm's words: PENDING and the reason, RUNNING, ..."""

    state: str
    reason: str = ""
    restarts: int = 0

    @property
    def waits(self) -> bool:
        """Whether the job has not started."""
        return self.state == "PENDING"


@dataclass(frozen=True)
class Job:
    """A job by its name in squeue, `12_3` in an array, which is one of its cluster only."""

    name: str
    cluster: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.cluster}"


def parse_job(text: str) -> Job | None:
    """A job as a run's folder names it, whose word is not trusted; None for what is none."""
    match = re.fullmatch(r"(\d{1,12}(?:_\d{1,9})?)@([\w.-]{0,64})", text, re.ASCII)
    return Job(match[1], match[2]) if match else None


@dataclass(frozen=True)
class Site:
    """What differs from one Slurm to the next."""

    cluster: str
    largest_array: int


def site() -> Site:
    """The cluster's name, and how many jobs an array may have; raises Refused."""
    found = dict(
        re.findall(r"^(\w+)\s*=\s*(\S+)", sbatch.ask(["scontrol", "show", "config"]), re.M)
    )
    size = found.get("MaxArraySize", "")
    most = int(size) - 1 if size.isdecimal() else LARGEST_ARRAY
    return Site(found.get("ClusterName", ""), min(max(1, most), LARGEST_ARRAY))


def is_there() -> bool:
    """Whether Slurm's controller answers."""
    try:
        return "UP" in sbatch.ask(["scontrol", "ping"], seconds=PING_WITHIN)
    except sbatch.Refused:
        return False


def standings() -> dict[str, Standing]:
    """How the jobs stand that train runs, by their names; those that are gone are left out.

    Raises Silent when Slurm does not answer.
    """
    command = ["squeue", "--noheader", "--array", f"--name={sbatch.JOB_NAME}"]
    try:
        answer = sbatch.ask([*command, f"--Format={FIELDS}"])
    except sbatch.Refused as error:
        raise sbatch.Silent(str(error)) from None
    lines = [line.split("|", 3) for line in answer.splitlines()]
    return {
        job.strip(): Standing(state.strip(), reason.strip(), int(restarts))
        for job, state, restarts, reason in (line for line in lines if len(line) == 4)
        if restarts.strip().isdecimal()
    }


def is_preempted(job: str) -> bool:
    """Whether a job ends because another takes its place; raises Refused."""
    return re.search(r"\bPreemptTime=\d", sbatch.ask([*SHOW, job])) is not None


def fate(job: str) -> str | None:
    """How a job ended that squeue does not know, as in `FAILED 1:0`; empty when that is forgotten.

    None for one that has not ended, or of which Slurm does not tell now.
    """
    try:
        answer = sbatch.ask([*SHOW, job])
    except sbatch.Refused as error:
        return "" if FORGOTTEN.search(str(error)) else None
    state = re.search(r"\bJobState=(\w+)", answer)
    code = re.search(r"\bExitCode=(\S+)", answer)
    return f"{state[1]} {code[1]}" if state and code and state[1] in ENDED else None
