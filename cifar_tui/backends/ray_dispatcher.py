"""What lives on a Ray cluster: a dispatcher that holds the queue, and the places that it fills.

Ray is imported inside, as whoever only asks for the module's names may lack it.
"""

import contextlib
import errno
import threading
import time
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cifar_tui.backends.backend import Backend
from cifar_tui.backends.ray_mirror import Home, Lent, Parcel, Reply
from cifar_tui.backends.ray_place import fill
from cifar_tui.errors import UserError
from cifar_tui.runs import steer
from cifar_tui.runs.files import read_json, write_json
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.runs.record import ENDED, Progress, this_host, this_worker

STORE = ".ray.json"
"""Beside the runs: the dispatcher's queue, which outlives it and its cluster."""
NAMESPACE = "cifar-tui"
BEAT = 0.25
"""Seconds between two looks at the places."""
WAITING_BEAT = 10.0
"""Seconds between two heartbeats of the runs that wait, by which other machines see them held."""
DEATHS = 3
"""A run whose process died so often without a new epoch is left as crashed."""
IDLE = 300.0
"""Seconds without a run and without a question after which the dispatcher ends."""


@dataclass(frozen=True)
class Need:
    """What one run takes of the cluster; GPUs may be a fraction."""

    cpus: int = 1
    gpus: float = 0.0


@dataclass
class Place:
    """One process on some node, which trains runs one after another as it is told."""

    need: Need
    ref: Any = None
    begun: bool = False
    """Whether Ray has found room for it."""
    run: RunFolder | None = None
    home: Home | None = None
    """The run's folder where the place trains a copy of it."""

    def leave(self) -> RunFolder | None:
        """The run that it had; nothing that comes from it any more is taken in."""
        if self.home is not None:
            self.home.close()
        folder, self.run, self.home = self.run, None, None
        return folder


class Dispatcher(Backend):
    """The queue of a folder of runs, in a process of its own on the cluster's head.

    It asks Ray for one place more for as long as runs wait; a place asks for a run when it has
    begun, so that until then the queue can be changed. A run whose process or node is lost goes
    back to the front, to resume elsewhere from its last whole epoch.
    """

    def __init__(self, runs: str) -> None:
        super().__init__()
        self._runs = Path(runs)
        self._needs: dict[str, Need] = {}
        self._cwds: dict[str, str] = {}
        self._places: dict[str, Place] = {}
        self._shelf: Any = None
        self._failures = 0
        self._stored: dict[str, Any] = {}
        self._deaths: dict[str, tuple[int, int]] = {}
        self._asked = time.monotonic()
        self._beats = 0
        self._next_beat = 0.0
        self._thread = threading.Thread(target=self._watch, name="places", daemon=True)

    def start(self) -> None:
        """Take up what an earlier dispatcher left, and begin."""
        self._load()
        self._thread.start()

    def sees_runs(self) -> str:
        """Nothing where the runs can be worked on, else why not."""
        return "" if self._runs.is_dir() else unseen(self._runs)

    @property
    def alive(self) -> bool:
        """Whether it looks after places."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def state(self) -> dict[str, Any]:
        """What those who ask may know."""
        with self._changed:
            self._asked = time.monotonic()
            return {
                "training": self.training,
                "queued": self.queued,
                "held": self.held,
                "problem": self.problem,
            }

    def put(self, run_id: str, place: int | None, cwd: str, need: dict[str, Any]) -> None:
        """Queue a run that needs so much, and whose relative paths begin at `cwd`; only once."""
        with self._changed:
            folder = RunFolder(self._runs / run_id)
            run = read_run(folder.path)
            if not folder.path.is_dir():
                self._say(unseen(folder.path))
            if run_id in self.own or run.problem or run.status in ENDED:
                return
            self._needs[run_id], self._cwds[run_id] = settle(need), cwd
            self._failures = 0
            self._say("")
            self.add(folder, place=place)
            self._store()

    def go_on(self) -> None:
        """Go on with the queue; what held it is taken for mended."""
        self._say("")
        super().go_on()

    def begin(self, name: str) -> None:
        """A place has found room on a node."""
        with self._changed:
            self._places[name].begun = True

    def take(self, name: str) -> tuple[str, str] | None:
        """Id and working folder of the next run for a place that has done its last, if any."""
        with self._changed:
            place = self._places[name]
            if (done := place.leave()) is not None:
                self._settle(done)
            fitting = (f for f in self._queue if self._needs[f.id] == place.need)
            place.run = None if self._held else next(fitting, None)
            if place.run is None:
                return None
            self._failures = 0
            self._queue.remove(place.run)
            self._current.append(place.run)
            self._store()
            return place.run.id, self._cwds[place.run.id]

    def _settle(self, done: RunFolder) -> None:
        """A place is done with a run; one that it could not end comes first, in a held queue.

        What kept that one, such as a full disk, would keep all others from being trained, too.
        """
        run = read_run(done.path)
        if run.problem or run.status in ENDED or steer.is_taken(done):
            self._forget(done)
            return
        self._done(done)
        self.add(done, place=0)
        self.hold()
        self._say(f"The queue is held until you let it go on: {self.problem or 'no reason told'}")
        self._store()

    def say(self, problem: str) -> None:
        """A place waits for something."""
        self._say(problem)

    def lend(self, name: str) -> Lent:
        """A place does not see its run's folder: what it needs to train a copy."""
        with self._changed:
            place = self._places[name]
            if place.run is None:
                return Lent(refused=errno.ENOENT)
            place.home = place.home or Home(place.run)
            home = place.home
        return home.lend()

    def take_in(self, name: str, run_id: str, parcel: Parcel) -> Reply:
        """What changed in a place's copy of a run, as long as the run is that place's."""
        with self._changed:
            place = self._places.get(name)
            home = place.home if place and place.run and place.run.id == run_id else None
        return home.take_in(parcel) if home else Reply(over=True)

    def offer_images(self, name: str) -> Any:
        """The images of a place's run, for a node that does not have them; None without any."""
        with self._changed:
            run = self._places[name].run
            if self._shelf is None:
                import ray

                from cifar_tui.backends.ray_images import Shelf

                self._shelf = Shelf(ray.put)
        spec = read_run(run.path).spec if run else None
        return self._shelf.offer(spec.data, self._cwds[run.id]) if run and spec else None

    def lose(self, name: str, reason: str) -> None:
        """A place's process, device or node is lost: its run goes on elsewhere."""
        with self._changed:
            folder = self._places[name].leave()
            if folder is None:
                return
            run = read_run(folder.path)
            self._done(folder)
            deaths = self._count_death(folder.id, run.summary.epochs_done)
            if run.problem or run.status in ("finished", "diverged", "stopped"):
                self._forget(folder)
                return
            changes = {"status": "crashed", "reason": reason}
            crashed = replace(run, summary=run.summary.model_copy(update=changes))
            if deaths >= DEATHS:
                self._forget(folder)
                with contextlib.suppress(OSError):
                    folder.write_summary(crashed.summary)
                return
            held = self._held
            self.add(requeue(crashed), place=0)
            self._held = held

    def _count_death(self, run_id: str, epochs: int) -> int:
        """How often the run's process died since it last finished an epoch."""
        deaths, before = self._deaths.get(run_id, (0, epochs))
        self._deaths[run_id] = (deaths + 1 if epochs == before else 1, epochs)
        return self._deaths[run_id][0]

    def _forget(self, folder: RunFolder) -> None:
        self._done(folder)
        self._deaths.pop(folder.id, None)
        self._store()

    def _watch(self) -> None:
        while not self._is_idle():
            try:
                self._open_places()
                self._look_at_places()
            except Exception as error:  # whatever Ray raises, the queue must not be left alone
                self._say(f"Ray: {short(error)}")
            self._store()
            self._beat()
            time.sleep(BEAT)
        import ray

        ray.kill(ray.get_runtime_context().current_actor)

    def _beat(self) -> None:
        """Say in the folders of the runs that wait that somebody still has them."""
        if time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + WAITING_BEAT
        self._beats += 1
        with self._changed:
            waiting = list(self._queue)
        for folder in waiting:
            with self._changed, contextlib.suppress(OSError):
                if folder in self._queue:
                    folder.write_progress(Progress(worker=this_worker(), counter=self._beats))

    def _is_idle(self) -> bool:
        with self._changed:
            busy = self._places or (self.own and not self._held)
            return not busy and time.monotonic() - self._asked > IDLE

    def _open_places(self) -> None:
        """Ask for a place for each kind of need, unless one is being waited for."""
        with self._changed:
            waiting = [] if self._held else [self._needs[folder.id] for folder in self._queue]
            for need in dict.fromkeys(waiting):
                free = [p for p in self._places.values() if p.need == need and p.run is None]
                if len(free) < waiting.count(need) and all(place.begun for place in free):
                    name = uuid.uuid4().hex
                    self._places[name] = Place(need, self._open(name, need))

    def _open(self, name: str, need: Need) -> Any:
        import ray

        me = ray.get_runtime_context().current_actor
        once = {"max_calls": 1, "max_retries": 0}
        task = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus, **once)(fill)
        return task.remote(me, name, str(self._runs), need.cpus, need.gpus)

    def _look_at_places(self) -> None:
        """Find out which have ended, and how."""
        import ray

        with self._changed:
            refs = {place.ref: name for name, place in self._places.items()}
        ended = ray.wait(list(refs), num_returns=len(refs), timeout=0)[0] if refs else []
        for ref in ended:
            try:
                ray.get(ref)
                problem = ""
            except Exception as error:
                problem = short(error)
            self._close_place(refs[ref], problem)

    def _close_place(self, name: str, problem: str) -> None:
        with self._changed:
            if problem and self._places[name].run is None:
                self._failures += 1
            self.lose(name, problem or "its process ended")
            self._places.pop(name)
            if self._failures >= DEATHS:
                self._failures = 0
                self.hold()
                self._say(f"Ray cannot start a run: {problem}")
            self._store()

    def _store(self) -> None:
        """Write down what is in its hands, if that has changed."""
        with self._changed:
            runs = [
                {"id": f.id, "cwd": self._cwds[f.id], "need": asdict(self._needs[f.id])}
                for f in (*self._current, *self._queue)
            ]
            now = {"held": self._held, "runs": runs}
            if now == self._stored:
                return
            try:
                write_json(self._runs / STORE, now)
                self._stored = now
            except OSError as error:
                self._say(f"Cannot write {self._runs / STORE}: {error.strerror}.")

    def _load(self) -> None:
        """Queue what was in the hands of a dispatcher that is gone."""
        try:
            stored = read_json(self._runs / STORE)
            left = [(i["id"], i["cwd"], Need(**i["need"])) for i in stored["runs"]]
        except (OSError, ValueError, KeyError, TypeError):
            return
        for run_id, cwd, need in left:
            run = read_run(self._runs / Path(run_id).name)
            if run.problem or run.status in ENDED:
                continue
            self._needs[run.id], self._cwds[run.id] = need, cwd
            changes = {"status": "crashed"}
            crashed = replace(run, summary=run.summary.model_copy(update=changes))
            self.add(requeue(crashed))
        self._held = bool(stored.get("held"))


class Detached(Dispatcher):
    """A dispatcher that begins when Ray makes it, or makes it again after its process died."""

    def __init__(self, runs: str) -> None:
        super().__init__(runs)
        self.start()


def settle(need: dict[str, Any]) -> Need:
    """A need whose GPUs may be left open: one where the cluster has any."""
    if need["gpus"] is not None:
        return Need(**need)
    import ray

    return Need(need["cpus"], 1.0 if ray.cluster_resources().get("GPU") else 0.0)


def unseen(path: Path) -> str:
    """That the head cannot work on a run or a folder of runs, and what would help."""
    return (
        f"The Ray cluster's head {this_host()} does not see {path}; start the cluster where the "
        "folder of runs is, or name one that the head shares with this machine (--runs)."
    )


def short(error: BaseException) -> str:
    """The last line of what Ray tells, which names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


def requeue(run: Run) -> RunFolder:
    """A lost run ready to resume, its orders kept; a folder that refuses is queued all the same."""
    try:
        return steer.requeue(run, keep_order=True)
    except UserError:
        return RunFolder(run.path)
