"""The process that talks to a Ray cluster, and the actor that trains a run there.

It answers `[QUESTION, ARGUMENT]` with `[KIND, ANSWER]`, each in JSON on a line.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cifar_tui.queue.cluster.job import train
from cifar_tui.queue.cluster.ray import NO_CLUSTER
from cifar_tui.queue.nodes import Node
from cifar_tui.runs.control import end
from cifar_tui.runs.events import Ended, EpochDone, Resumed, Started, read_events
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.record import this_host

NAMESPACE = "cifar-tui"
RESOURCES = {"CPU": "cpus", "GPU": "gpus"}
"""Ray's names for what a run needs, and ours."""
STARTED_WITHIN = 2.0
"""Seconds in which an actor that has begun says so."""
DEATHS = 3
"""A run whose process died so often without a new epoch is left as crashed."""
RESTARTS = 3
"""How often Ray itself starts a run's process again."""
SEEN_WITHIN = 10
"""Seconds to wait for a run's folder to be seen."""
NO_ROOM = "no node has what a run needs; cpus_per_run and gpus_per_run say what that is"


class Actor:
    """Trains one run; Ray makes it again when its process or node is lost."""

    def __init__(self, order: dict[str, Any]) -> None:
        folder = RunFolder(Path(order["path"]))
        until = time.monotonic() + SEEN_WITHIN
        while not (folder.path / "spec.toml").is_file():
            if time.monotonic() > until:
                raise FileNotFoundError(
                    f"{this_host()} does not see {folder.path}; Ray's nodes have to share the "
                    "folder of runs with this machine"
                )
            time.sleep(0.5)
        if not order["gpus"]:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        threading.Thread(target=self._train, args=(folder, order), daemon=True).start()

    def _train(self, folder: RunFolder, order: dict[str, Any]) -> None:
        """Train the run to its end, with relative paths as where it was queued; end the actor."""
        import ray

        try:
            with contextlib.suppress(OSError):
                os.chdir(order["cwd"])
            if times_begun(folder) >= DEATHS:
                end(folder, "crashed", f"its process died {DEATHS} times without a new epoch")
            train(folder, order["told"], str(order["cpus"]))
        finally:
            ray.kill(ray.get_runtime_context().current_actor, no_restart=True)


def times_begun(folder: RunFolder) -> int:
    """How often the run was begun since its last whole epoch, or its last end."""
    times = 0
    for event in read_events(folder.path):
        match event:
            case Started() | Resumed():
                times += 1
            case EpochDone() | Ended():
                times = 0
    return times


class Connection:
    """The cluster as the process sees it that talks to it."""

    def __init__(self, address: str) -> None:
        import ray

        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
        self._ray = ray
        self._begun: dict[str, Any] = {}
        """For each actor, what is there once it has begun, or tells why it could not."""

    def where(self, _: Any) -> str:
        return str(self._ray.get_runtime_context().gcs_address)

    def submit(self, orders: list[dict[str, Any]]) -> None:
        """Have an actor made for each run, which goes on without whoever asks."""
        for order in orders:
            order = settle(order)
            actor = self._ray.remote(Actor).options(
                name=order["job"],
                lifetime="detached",
                max_restarts=RESTARTS,
                num_cpus=order["cpus"],
                num_gpus=order["gpus"],
            )
            self._begun[order["job"]] = actor.remote(order).__ray_ready__.remote()

    def states(self, asked: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """The phase of each job and a reason, as in State."""
        jobs = asked["jobs"]
        names = set(self._ray.util.list_named_actors())
        new = [job for job in jobs if job in names and job not in self._begun]
        for job in new:
            with contextlib.suppress(ValueError):  # it has ended meanwhile
                self._begun[job] = self._ray.get_actor(job).__ray_ready__.remote()
        refs = [self._begun[job] for job in jobs if job in self._begun]
        within = STARTED_WITHIN if new else 0
        begun = (
            set(self._ray.wait(refs, num_returns=len(refs), timeout=within)[0]) if refs else set()
        )
        reason = "" if has_room(settle(asked["need"]), self._ray.nodes()) else NO_ROOM
        states = {}
        for job in jobs:
            ref = self._begun.get(job)
            if job not in names:
                states[job] = self._fate(ref) if ref in begun else ("lost", "it is gone")
            else:
                states[job] = ("running", "") if ref in begun else ("waiting", reason)
        return states

    def _fate(self, begun: Any) -> tuple[str, str]:
        """How an actor ended: it could not begin, or was lost later."""
        try:
            self._ray.get(begun, timeout=0)
        except Exception as error:
            text = why(error)
            return ("lost", text) if "killed" in text else ("ended", text)
        return "lost", "its process died too often"

    def cancel(self, jobs: list[str]) -> None:
        for job in jobs:
            with contextlib.suppress(ValueError):
                self._ray.kill(self._ray.get_actor(job), no_restart=True)

    def nodes(self, _: Any) -> list[dict[str, Any]]:
        try:
            from ray._private.state import available_resources_per_node

            free = dict(available_resources_per_node())
        except Exception:  # it is no part of Ray's public interface
            free = None
        return [asdict(node) for node in machines(self._ray.nodes(), free)]


def settle(need: dict[str, Any]) -> dict[str, Any]:
    """A need whose GPUs may be left open: one where the cluster has any."""
    import ray

    if need["gpus"] is not None:
        return need
    return {**need, "gpus": 1.0 if ray.cluster_resources().get("GPU") else 0.0}


def has_room(need: Mapping[str, float], nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether some node could hold a run, were it free."""
    found = [node["Resources"] for node in nodes if node["Alive"]]
    return any(all(has.get(r, 0) >= need[n] for r, n in RESOURCES.items()) for has in found)


def machines(
    nodes: Iterable[dict[str, Any]], free: dict[str, dict[str, float]] | None
) -> list[Node]:
    """Each machine once, however many of Ray's nodes are or were on it; memory is not told."""
    hosts: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        hosts.setdefault(str(node["NodeManagerHostname"]), []).append(node)
    return [_machine(name, [n for n in here if n["Alive"]], free) for name, here in hosts.items()]


def _machine(
    name: str, alive: list[dict[str, Any]], free: dict[str, dict[str, float]] | None
) -> Node:
    if not alive:
        return Node(name, "DEAD", 0, usable=False)

    def total(what: str) -> float:
        return float(sum(node["Resources"].get(what, 0.0) for node in alive))

    def used(what: str) -> float | None:
        if free is None:
            return None
        left = sum(free.get(node["NodeID"], {}).get(what, 0.0) for node in alive)
        return round(max(0.0, total(what) - left), 4)

    return Node(name, "ALIVE", int(total("CPU")), used("CPU"), total("GPU"), used("GPU"))


def why(error: Exception) -> str:
    """One sentence about a cluster that cannot be used, and what would help."""
    text = str(error)
    if "not find any running Ray" in text or "No cluster" in text:
        return NO_CLUSTER
    if "No module named 'cifar_tui" in text:
        return "The nodes of the Ray cluster lack cifar-tui; install it there, too."
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any("ray[client]" in line for line in lines):
        return "An address with ray:// needs more; pip install 'ray[client]', or name HOST:6379."
    return (lines[-1] if lines else type(error).__name__)[:300]


def serve(address: str) -> None:
    """Answer what standard input asks; when that ends, so does this process, whatever it does."""
    questions: queue.Queue[bytes] = queue.Queue()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer

    def listen() -> None:
        for line in sys.stdin.buffer:
            questions.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    connection: Connection | None = None
    while True:
        question, argument = json.loads(questions.get())
        try:
            connection = connection or Connection(address)
            verb: Callable[[Any], Any] = getattr(connection, question)
            answer = "answer", verb(argument)
        except Exception as error:  # whatever Ray raises
            answer = ("silent" if connection is None else "refused"), why(error)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    from cifar_tui.queue.cluster import ray_process as this  # Ray imports the actor by this name

    this.serve(sys.argv[1])
