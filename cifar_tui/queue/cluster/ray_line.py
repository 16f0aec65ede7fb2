"""A process that holds the line to a Ray cluster for a program that must not wait or die with it.

Orders come in on standard input and reports go out on standard output, one JSON object a line.
"""

import contextlib
import json
import os
import queue
import sys
import threading
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from cifar_tui.queue.cluster.ray_actor import NAMESPACE, Detached
from cifar_tui.queue.cluster.ray_store import settle
from cifar_tui.queue.cluster.ray_words import why
from cifar_tui.queue.nodes import Node

ASK_EVERY = 0.5
"""Seconds between two reports."""
TIMEOUT = 30.0
"""Seconds after which the cluster counts as gone."""
CAPACITY_EVERY = 10
"""So many reports between two looks at the nodes."""
AT_ONCE = 100
"""Most orders that the dispatcher is given at once; each such batch is stored."""


def talk(runs: str, address: str, need: dict[str, Any], client: str) -> None:
    """Report what the dispatcher of these runs does, and pass it orders, until they end."""
    orders: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    try:
        _connect(address)
        say({"nodes": look()})
        dispatcher = _dispatcher(runs)
        problem = _ask(dispatcher.why_not.remote())
        if problem:
            say({"problem": problem})
            return
        _pass_on(dispatcher, orders, need, client)
    except Exception as error:
        say({"problem": why(error)})


def say(report: dict[str, Any]) -> None:
    """Tell whoever started this process."""
    try:
        print(json.dumps(report), flush=True)
    except BrokenPipeError:
        os._exit(0)


def _listen(orders: "queue.Queue[dict[str, Any]]") -> None:
    """Read orders; when they end, so does this process, whatever it waits for."""
    for line in sys.stdin.buffer:
        orders.put(json.loads(line))
    os._exit(0)


def _connect(address: str) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    late = threading.Timer(TIMEOUT, _give_up, (address,))
    late.daemon = True
    late.start()
    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR")
    late.cancel()


def _give_up(address: str) -> None:
    """End in place of an attempt that Ray would go on with for minutes."""
    where = "here" if address == "auto" else f"at {address}"
    say({"problem": f"No Ray cluster answers {where} within {TIMEOUT:.0f} seconds."})
    os._exit(0)


def _dispatcher(runs: str) -> Any:
    """The dispatcher of these runs, made on the cluster's head where there is none yet."""
    import ray

    actor = ray.remote(Detached).options(
        name=f"dispatcher of {runs}",
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_concurrency=64,
        num_cpus=0,
        resources={"node:__internal_head__": 0.001},
    )
    return actor.remote(runs)


def _pass_on(
    dispatcher: Any, orders: "queue.Queue[dict[str, Any]]", need: dict[str, Any], client: str
) -> None:
    seen, count, slots = 0, 0, 0
    told: list[dict[str, Any]] = []
    while True:
        if count % CAPACITY_EVERY == 0:
            slots = capacity(need)
            if (nodes := look()) != told:
                told = nodes
                say({"nodes": nodes})
        count += 1
        state = _ask(dispatcher.state.remote())
        say({**state, "seen": seen, "slots": slots})
        if batch := next_of(orders):
            _ask(dispatcher.obey.remote(client, batch))
            seen = batch[-1]["number"]


def next_of(
    orders: "queue.Queue[dict[str, Any]]", seconds: float = ASK_EVERY
) -> list[dict[str, Any]]:
    """The orders that are there, or the one that comes within so many seconds."""
    batch = []
    with contextlib.suppress(queue.Empty):
        batch.append(orders.get(timeout=seconds))
        while len(batch) < AT_ONCE:
            batch.append(orders.get_nowait())
    return batch


def _ask(ref: Any) -> Any:
    import ray

    return ray.get(ref, timeout=TIMEOUT)


def capacity(need: dict[str, Any]) -> int:
    """How many runs that need so much the nodes hold at the same time."""
    import ray

    settled, found = settle(need), 0
    for node in ray.nodes():
        has = node["Resources"] if node["Alive"] else {}
        shares = [has.get("CPU", 0.0) / settled.cpus]
        if settled.gpus:
            shares.append(has.get("GPU", 0.0) / settled.gpus)
        found += int(min(shares) + 1e-6)
    return found


def look() -> list[dict[str, Any]]:
    """The cluster's machines, ready for JSON."""
    import ray

    return [asdict(node) for node in machines(ray.nodes(), _free())]


def _free() -> dict[str, dict[str, float]] | None:
    """What is free on each node by its id; None with a Ray that does not tell."""
    try:
        from ray._private.state import available_resources_per_node

        return dict(available_resources_per_node())
    except Exception:  # it is no part of Ray's public interface
        return None


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


if __name__ == "__main__":
    talk(**json.loads(sys.argv[1]))
