"""What a queue asks of a cluster, and a cluster's answers."""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cifar_tui.errors import UserError
from cifar_tui.queue.nodes import Node
from cifar_tui.runs.control import BY_USER, end
from cifar_tui.runs.folder import RunFolder


class Refused(UserError):
    """The cluster does not do it, or does not answer; says why."""


class Silent(Refused):
    """It does not answer, so that it may do it later, or have done it."""


@dataclass(frozen=True)
class State:
    """How a job is: `lost` where it ended through no fault of its run, `forgotten` where nobody
    knows how. `reason` is why it waits, if that needs someone's attention, or how it ended."""

    phase: Literal["waiting", "running", "lost", "cancelled", "ended", "forgotten"]
    reason: str = ""

    @property
    def gone(self) -> bool:
        """Whether there is no such job any more."""
        return self.phase not in ("waiting", "running")


class Job(NamedTuple):
    """A job as the folder of its run names it: `slurm:12_3@gpu`."""

    kind: str
    name: str
    where: str


def parse_job(text: str) -> Job | None:
    """A job by its name in a run's folder, whose word is not trusted; None for what is none."""
    form = r"([a-z]+):([A-Za-z0-9][\w.-]{0,250})@([\w.:\[\]-]{0,100})"
    match = re.fullmatch(form, text, re.ASCII)
    return Job(*match.groups()) if match else None


class Cluster(ABC):
    """What a queue asks of a cluster; each call may take seconds, and raises Refused or Silent."""

    name: str
    """As in `slurm:12_3@gpu`."""
    title: str

    @abstractmethod
    def where(self) -> str:
        """Which cluster this is, among those of its kind."""

    @abstractmethod
    def submit(self, folders: Sequence[RunFolder]) -> list[str]:
        """Queue the first of these runs, as many as go together; returns their jobs."""

    @abstractmethod
    def states(self, jobs: Collection[str]) -> dict[str, State]:
        """How jobs are; those of which the cluster does not tell at the moment are left out."""

    @abstractmethod
    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs that wait."""

    @abstractmethod
    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        """Its machines as they are now, within so many seconds."""

    def cancel_waiting(self, jobs: Collection[str]) -> None:
        """End those of these jobs that have not begun; what has begun obeys its run's folder."""
        states = self.states(jobs)
        if waiting := [job for job, state in states.items() if state.phase == "waiting"]:
            self.cancel(waiting)

    def stop_waiting(self, folder: RunFolder, job: str) -> bool:
        """Stop a run whose job has not begun; tells whether it was so."""
        self.cancel_waiting([job])
        state = self.states([job]).get(job)
        return bool(state and state.gone) and end(folder, "stopped", BY_USER)

    def withdraw(self, folder: RunFolder, job: Job) -> bool:
        """The same, where the job is this cluster's and it answers."""
        try:
            return job.where == self.where() and self.stop_waiting(folder, job.name)
        except Refused:
            return False
        finally:
            self.close()

    def close(self) -> None:  # noqa: B027 - not all have a connection
        """Give up the connection; it is made again when something is asked."""
