"""Runs on a Ray cluster: an actor for each, which Ray places, starts, and restarts elsewhere.

A process of its own (ray_process) holds the connection, so that a cluster that hangs or dies takes
neither the screen nor the program with it.
"""

import contextlib
import json
import os
import socket
import subprocess
import threading
import uuid
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifar_tui.errors import UserError
from cifar_tui.files import read_small
from cifar_tui.queue.cluster.adapter import Cluster, Job, Refused, Silent, State
from cifar_tui.queue.cluster.cluster import ClusterQueue
from cifar_tui.queue.nodes import Node
from cifar_tui.queue.processes import open_log
from cifar_tui.queue.queue import Backend
from cifar_tui.runs.control import BY_USER, end
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.training.process import program

if TYPE_CHECKING:
    from cifar_tui.queue.choices import Wish

NAME = "ray"
ANSWER_WITHIN, CALL_WITHIN = 30.0, 2.0
"""Seconds in which a cluster has to answer, and its head to take a call."""
NO_CLUSTER = (
    "No Ray cluster runs here; `ray start --head` starts one on this machine, "
    "--option address=HOST:6379 names another."
)


def why_not(options: Mapping[str, str]) -> str:
    """Ray must be installed and its head take calls; all else is found out when it is asked."""
    if not find_spec("ray"):
        return "Ray is not installed; pip install 'cifar-tui[ray]'."
    address = options.get("address", "auto")
    found = cluster_here() if address == "auto" else address
    if not found or not takes_calls(found):
        return NO_CLUSTER if address == "auto" else f"No Ray cluster answers at {address}."
    return ""


def takes_calls(address: str) -> bool:
    """Whether anybody listens at HOST:PORT; an address of another form is Ray's to judge."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in address:
        return True
    try:
        socket.create_connection((host.strip("[]"), int(port)), CALL_WITHIN).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def cluster_here() -> str:
    """The address of the cluster that Ray itself would find; empty without any."""
    note = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
    with contextlib.suppress(OSError, ValueError):
        return os.environ.get("RAY_ADDRESS") or read_small(note).decode().strip()
    return ""


def make(runs: Path, wish: "Wish") -> tuple[Backend, Sequence[str]]:
    """Runs on a Ray cluster; raises UserError for what Ray decides itself."""
    if wish.devices:
        raise UserError("Ray chooses the devices; leave out --devices (see gpus_per_run).")
    return ClusterQueue(runs, Ray(runs, wish.options)), []


def withdraw(folder: RunFolder, job: Job) -> bool:
    """Stop a run whose actor has not begun, or whose cluster is gone; tells whether it was so."""
    if not find_spec("ray"):
        return False
    if not takes_calls(job.where):
        return end(folder, "stopped", BY_USER)
    return Ray(folder.path.parent, {"address": job.where}).withdraw(folder, job)


def parse_need(options: Mapping[str, str]) -> dict[str, Any]:
    """CPUs and GPUs of a run, None for one GPU where there are any; raises UserError."""
    cpus = _number("cpus_per_run", options.get("cpus_per_run", "1"))
    gpus = options.get("gpus_per_run")
    share = None if gpus is None else _number("gpus_per_run", gpus)
    if cpus < 1 or cpus != int(cpus):
        raise UserError(f"cpus_per_run is a whole number from 1 on, not {cpus:g}.")
    if share is not None and share > 1:
        raise UserError(f"One run trains on one GPU or a share of it, not on {share:g}.")
    return {"cpus": int(cpus), "gpus": share}


def _number(name: str, text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(text)) < 1e4:
            return value
    raise UserError(f"{name} is a number, like 0.5; got '{text}'.")


class Ray(Cluster):
    """A Ray cluster as a queue asks it, through the process that holds the connection."""

    name, title = NAME, "Ray"

    def __init__(self, runs: Path, options: Mapping[str, str]) -> None:
        self._runs = runs
        self._need = parse_need(options)
        self._address = options.get("address", "auto")
        self._where = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._one = threading.Lock()

    def where(self) -> str:
        self._where = self._where or str(self._ask("where"))
        return self._where

    def submit(self, folders: Sequence[RunFolder]) -> list[str]:
        where, jobs = self.where(), [uuid.uuid4().hex[:12] for _ in folders]
        orders = []
        for folder, job in zip(folders, jobs, strict=True):
            spec, need = read_run(folder.path).spec, self._need
            if spec and spec.device == "cpu":
                need = {**need, "gpus": 0.0}
            path, told = str(folder.path.resolve()), f"{self.name}:{job}@{where}"
            orders.append({"job": job, "path": path, "cwd": os.getcwd(), "told": told, **need})
        self._ask("submit", orders)
        return jobs

    def states(self, jobs: Collection[str]) -> dict[str, State]:
        told = self._ask("states", {"jobs": list(jobs), "need": self._need})
        return {job: State(*state) for job, state in told.items()}

    def cancel(self, jobs: Collection[str]) -> None:
        self._ask("cancel", list(jobs))

    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        return tuple(Node(**node) for node in self._ask("nodes", seconds=seconds))

    def close(self) -> None:
        """End the process, whatever it waits for."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _ask(self, question: str, argument: Any = None, seconds: float = ANSWER_WITHIN) -> Any:
        with self._one:
            try:
                if self._process is None or self._process.poll() is not None:
                    self._process = self._open()
                answer = self._exchange(self._process, [question, argument], seconds)
            except (OSError, ValueError) as error:
                raise Silent(f"cannot talk to Ray ({error})") from None
        if answer is None:
            self.close()
            raise Silent(f"no Ray cluster answers within {seconds:.0f} seconds")
        kind, told = answer
        if kind != "answer":
            raise (Silent if kind == "silent" else Refused)(told)
        return told

    def _open(self) -> "subprocess.Popen[bytes]":
        self._runs.mkdir(parents=True, exist_ok=True)
        with open_log(self._runs) as log:
            return subprocess.Popen(
                program(self._address, module="cifar_tui.queue.cluster.ray_process"),
                cwd="/",  # Ray has its workers import from the folder in which it is called
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            )

    @staticmethod
    def _exchange(process: "subprocess.Popen[bytes]", question: Any, seconds: float) -> Any:
        """What the process answers; None where it does not in time, and is ended."""
        assert process.stdin is not None and process.stdout is not None
        late = threading.Timer(seconds, process.kill)
        late.daemon = True
        late.start()
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        finally:
            late.cancel()
        return json.loads(line) if line.endswith(b"\n") else None
