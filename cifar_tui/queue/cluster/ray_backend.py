"""The Ray backend: runs are held and started by a dispatcher on the cluster, not by this program.

Between the two stands a process of its own (ray_line), so that a cluster that is slow, silent or
gone can neither stop nor end the program.
"""

import contextlib
import json
import os
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from cifar_tui.errors import UserError
from cifar_tui.files import read_small
from cifar_tui.queue.cluster.ray_words import NO_CLUSTER
from cifar_tui.queue.detached import LOG
from cifar_tui.queue.nodes import Node
from cifar_tui.queue.queue import Backend
from cifar_tui.runs.control import BY_USER
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.spec.spec import RunSpec
from cifar_tui.training.process import program

if TYPE_CHECKING:
    from cifar_tui.queue.choices import Wish


AGAIN, RETRY = 1.0, 30.0
"""Seconds until the next attempt to reach a cluster that answered the last time, or did not."""
CALL_WITHIN = 2.0
"""Seconds in which a cluster's head has to take a call."""
MISSES = 5
"""So many attempts in a row without an answer make a cluster count as gone that was there."""
NO_ROOM = (
    "No node of the Ray cluster has what a run needs, so it waits; "
    "cpus_per_run and gpus_per_run say what that is."
)
DEVICES = ("auto", "cpu", "cuda", "cuda:0")
"""What a run may name: of the GPUs that Ray gives it, it sees no other."""


def why_not(options: Mapping[str, str]) -> str:
    """Ray must be installed and its head take calls; all else is found out when it is asked."""
    if not find_spec("ray"):
        return "Ray is not installed; pip install 'cifar-tui[ray]'."
    address = options.get("address", "auto")
    found = cluster_here() if address == "auto" else address
    host, _, port = found.rpartition(":")
    if not port.isdecimal() or "/" in found:
        return "" if found else NO_CLUSTER
    try:
        socket.create_connection((host.strip("[]"), int(port)), CALL_WITHIN).close()
    except (OSError, ValueError, OverflowError):
        return NO_CLUSTER if address == "auto" else f"No Ray cluster answers at {address}."
    return ""


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
    if wish.together:
        raise UserError("--together trains in one process; leave it out with Ray.")
    need = parse_need(wish.options)
    config = {"runs": str(runs.resolve()), "address": wish.options.get("address", "auto")}
    config["client"] = uuid.uuid4().hex
    return RayBackend(runs, need, lambda: Line(runs, {**config, "need": need})), []


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


class Reports(Protocol):
    """The line to the dispatcher, or what stands for it."""

    def tell(self, order: dict[str, Any]) -> None:
        """Pass on an order; one that cannot be passed on is not reported as seen."""

    def reports(self) -> Iterator[dict[str, Any]]:
        """What the dispatcher does, twice a second, until the line breaks."""

    def cut(self) -> None:
        """Break it."""


class Line:
    """The process that talks to the cluster."""

    def __init__(self, runs: Path, config: dict[str, Any]) -> None:
        runs.mkdir(parents=True, exist_ok=True)
        with (runs / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                program(json.dumps(config), module="cifar_tui.queue.cluster.ray_line"),
                cwd="/",  # Ray has its workers import from the folder in which it is called
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            )

    def tell(self, order: dict[str, Any]) -> None:
        """Pass on an order."""
        with contextlib.suppress(OSError, ValueError):
            pipe = self._pipe(self._process.stdin)
            pipe.write(json.dumps(order).encode() + b"\n")
            pipe.flush()

    def reports(self) -> Iterator[dict[str, Any]]:
        """What it says; what else is printed by a library is passed over."""
        with self._process:
            for line in self._pipe(self._process.stdout):
                with contextlib.suppress(ValueError):
                    report = json.loads(line)
                    if isinstance(report, dict):
                        yield report

    def cut(self) -> None:
        """End the process, whatever it waits for."""
        self._process.kill()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


class RayBackend(Backend):
    """Shows the dispatcher's queue as its own, and passes orders on.

    An order changes what is shown at once; reports from before it are passed over. The runs go on
    when this program is left.
    """

    def __init__(self, runs: Path, need: dict[str, Any], open_line: Callable[[], Reports]) -> None:
        super().__init__()
        self._runs = runs
        self._need = need
        self._open_line = open_line
        self._line: Reports | None = None
        self._mine: set[str] = set()
        """Runs that this program has added."""
        self._orders: list[dict[str, Any]] = []
        """Those that the dispatcher has not been seen to obey."""
        self._given = 0
        self._slots = 0
        self._nodes: tuple[Node, ...] = ()
        self._tried = False
        """Whether the cluster has answered, or could not be reached."""
        self._known = self._reached = False
        """Whether it has ever answered, and in the last attempt."""
        self._misses = 0
        """Attempts without an answer since it was last reached."""
        self._thread = threading.Thread(target=self._work, name="ray", daemon=True)

    def start(self) -> None:
        """Begin to look for the cluster."""
        self.ready.set()
        if self._thread.ident is None:
            self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it listens to the cluster, or tries to."""
        return self._thread.is_alive()

    @property
    def outlives(self) -> bool:
        """Its runs go on when this program ends."""
        return True

    @property
    def slots(self) -> int:
        """How many runs the cluster's nodes hold at the same time."""
        return max(1, self._slots)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The cluster's machines, as the line has last seen them."""
        with self._changed:
            return self._nodes

    def find_nodes(self, seconds: float) -> tuple[Node, ...]:
        """The cluster's machines; raises UserError where none answers within so many seconds."""
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self._nodes or self._tried, seconds)
            if not self._nodes:
                raise UserError(
                    self._problem or f"No Ray cluster answers within {seconds:.0f} seconds."
                )
            return self._nodes

    def join(self) -> None:
        """Wait until it has ended; runs on the cluster may go on."""
        if self._thread.ident is not None:
            self._thread.join()

    def check(self, spec: RunSpec) -> None:
        """Raise UserError for a device that Ray does not give, or when there is no cluster."""
        if spec.device not in DEVICES:
            raise UserError(
                f"Ray gives each run its device, and {spec.device} is none that it sees; "
                "leave --device at auto."
            )
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self._tried)
            if self._line is None:
                raise UserError(self._problem)

    def add(self, folder: RunFolder, *, place: int | None = None) -> None:
        """Queue a run on the cluster; it is this program's until the dispatcher has it."""
        spec = read_run(folder.path).spec
        need = {**self._need, "gpus": 0.0} if spec and spec.device == "cpu" else self._need
        with self._changed:
            super().add(folder, place=place)
            self._mine.add(folder.id)
            self._order("put", folder.id, place, os.getcwd(), need)

    def hold(self) -> None:
        """Have no further run started, whoever has queued it."""
        with self._changed:
            super().hold()
            self._order("hold")

    def go_on(self) -> None:
        """Go on with the queue."""
        with self._changed:
            super().go_on()
            self._order("go_on")

    def drop(self, run_id: str) -> bool:
        """Take a waiting run out of the queue; tells whether it was there."""
        with self._changed:
            dropped = super().drop(run_id)
            if dropped:
                self._order("drop", run_id)
            return dropped

    def move(self, run_id: str, step: int) -> bool:
        """Move a waiting run forwards (-1) or backwards (1); tells whether it moved."""
        with self._changed:
            moved = super().move(run_id, step)
            if moved:
                self._order("move", run_id, step)
            return moved

    def close(self, reason: str = BY_USER) -> None:
        """End here as soon as the dispatcher has all orders; the runs go on."""
        with self._changed:
            super().close(reason)
            if self._line is not None and not self._orders:
                self._line.cut()

    def _order(self, name: str, *arguments: Any) -> None:
        self._given += 1
        self._orders.append({"number": self._given, "do": name, "with": arguments})
        if self._line is not None:
            self._line.tell(self._orders[-1])

    def _work(self) -> None:
        """Listen to the cluster; when the line breaks, try again later."""
        while not self._over():
            self._reached = False
            try:
                line = self._open_line()
            except OSError as error:
                over = self._over()
                self._say(f"Cannot start what talks to Ray: {error.strerror or error}.")
            else:
                self._listen(line)
                over = self._over()
                line.cut()
            with self._changed:
                self._line, self._tried = None, True
                if over:
                    break
                self._problem = self._problem or "The line to Ray broke."
                self._misses += not self._reached
                if self._is_lost():
                    self._lose_sight()
                self._changed.notify_all()
                self._changed.wait_for(self._over, RETRY if self._is_lost() else AGAIN)

    def _listen(self, line: Reports) -> None:
        """Pass on the orders that were not obeyed, and take reports until the line breaks."""
        with self._changed:
            self._line = line
            for order in self._orders:
                line.tell(order)
        for report in line.reports():
            self._take(report)
            if "nodes" not in report and ("seen" not in report or self._over()):
                break

    def _take(self, report: dict[str, Any]) -> None:
        """Show what the dispatcher does, unless orders given since make it out of date."""
        with self._changed:
            if "nodes" in report:
                self._nodes = tuple(Node(**node) for node in report["nodes"])
                self._changed.notify_all()
                return
            self._problem = str(report.get("problem", self._problem))
            if "seen" not in report:
                return
            self._tried = self._known = self._reached = True
            self._misses, self._slots = 0, int(report["slots"])
            self._orders = [o for o in self._orders if o["number"] > report["seen"]]
            if not self._orders:
                if self.queued != report["queued"]:
                    self._queue = [RunFolder(self._runs / run_id) for run_id in report["queued"]]
                self._held = bool(report["held"])
                if self._queue and not self._slots:
                    self._problem = NO_ROOM
            self._current = [RunFolder(self._runs / run_id) for run_id in report["training"]]
            self._changed.notify_all()

    def _lose_sight(self) -> None:
        """Show only what no cluster has yet; the others may be resumed elsewhere."""
        self._nodes = ()
        own = {order["with"][0] for order in self._orders if order["do"] == "put"}
        self._queue, self._current = [f for f in self._queue if f.id in own], []

    def _over(self) -> bool:
        """Whether there is nothing left to do here, or no way to do it."""
        with self._changed:
            if self._closing:
                return self._is_lost() or not self._orders
            waits = self._mine & set(self.queued) and not self._held
            busy = self._orders or waits or self._mine & set(self.training)
            return self._finishing and bool(self._is_lost() or not busy)

    def _is_lost(self) -> bool:
        """Whether the cluster cannot be reached; one that was gets some seconds to come back."""
        return self._misses >= (MISSES if self._known else 1)
