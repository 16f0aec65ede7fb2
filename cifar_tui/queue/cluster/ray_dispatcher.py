"""What lives on a Ray cluster: a dispatcher that holds the queue, and the places that it fills.

Ray is imported inside, as whoever only asks for the module's names may lack it.
"""

import contextlib
import errno
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.queue.cluster.ray_images import Shelf
from cifar_tui.queue.cluster.ray_mirror import Greeting, Home, Lent, Parcel, Reply
from cifar_tui.queue.cluster.ray_place import fill
from cifar_tui.queue.cluster.ray_store import Entry, Held, Need, Store, settle
from cifar_tui.queue.cluster.ray_words import short, taken, unseen
from cifar_tui.queue.queue import Backend
from cifar_tui.runs import control
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_progress, read_run
from cifar_tui.runs.record import ENDED, Worker

BEAT = 0.25
"""Seconds between two looks at the places."""
UNSAVED = "Cannot write down the queue beside the runs"
DEATHS = 3
"""A run whose process died so often without a new epoch is left as crashed."""
IDLE = 300.0
"""Seconds without a run and without a question after which the dispatcher ends."""


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
    leaving: bool = False
    """Whether its run is about to be anybody's again."""


class Dispatcher(Backend):
    """The queue of a folder of runs, in a process of its own on the cluster's head.

    It asks Ray for one place more for as long as runs wait; a place asks for a run when it has
    begun, so that until then the queue can be changed. A run whose process or node is lost goes
    back to the front, to resume elsewhere from its last whole epoch.
    """

    def __init__(self, runs: str) -> None:
        super().__init__()
        self._runs = Path(runs)
        self._store = Store(self._runs)
        self._in_charge = False
        self._entries: dict[str, Entry] = {}
        """Those of all runs in its hands."""
        self._obeyed: dict[str, int] = {}
        """The number of the last order of each client."""
        self._places: dict[str, Place] = {}
        self._shelf = Shelf()
        self._failures = 0
        self._deaths: dict[str, tuple[int, int]] = {}
        self._asked = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="places", daemon=True)

    def start(self) -> None:
        """Take up what an earlier dispatcher left, and begin."""
        self.why_not()
        self._thread.start()

    def why_not(self) -> str:
        """Nothing where it can work on the runs, else why not."""
        with self._changed:
            if not self._runs.is_dir():
                return unseen(self._runs)
            try:
                if not self._in_charge:
                    if not self._store.take():
                        return taken(self._runs, self._store.keeper())
                    self._load()
                    self._in_charge = True
            except OSError as error:
                self._store.release()
                return f"Cannot keep the queue of {self._runs}: {error.strerror}."
            return ""

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

    def obey(self, client: str, orders: Sequence[dict[str, Any]]) -> None:
        """Carry out a client's orders in turn, each once though it may be told again.

        What they changed is stored when this returns. Raises RuntimeError where another dispatcher
        keeps the queue.
        """
        if problem := self.why_not():
            raise RuntimeError(problem)
        if any(order["do"] == "put" for order in orders):
            self._say("")
        for order in orders:
            with self._changed:
                if order["number"] > self._obeyed.get(client, 0):
                    getattr(self, order["do"])(*order["with"])
                    self._obeyed[client] = order["number"]
        self._save()

    def drop(self, run_id: str) -> bool:
        """Take a waiting run out of the queue; tells whether it was there."""
        with self._changed:
            dropped = super().drop(run_id)
            if dropped:
                del self._entries[run_id]
                with contextlib.suppress(OSError):  # it says that the run waits here
                    (self._runs / run_id / "progress.json").unlink(missing_ok=True)
            return dropped

    def put(self, run_id: str, place: int | None, cwd: str, need: dict[str, Any]) -> None:
        """Queue a run that needs so much, and whose relative paths begin at `cwd`; only once."""
        with self._changed:
            folder = RunFolder(self._runs / run_id)
            run = read_run(folder.path)
            if not folder.path.is_dir():
                self._say(unseen(folder.path))
            elif run.problem:
                self._say(f"{run_id} cannot be trained: {run.problem}.")
            elif run_id in self.queued:
                self._mark(folder)
            elif run_id not in self._entries and run.status not in ENDED:
                self._entries[run_id] = Entry(run_id, settle(need), cwd)
                self._failures = 0
                self.add(folder, place=place)

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
        done = self._part(name)
        with self._changed:
            place = self._places[name]
            if done is not None:
                self._settle(done)
            fitting = (f for f in self._queue if self._entries[f.id].need == place.need)
            place.run = None if self._held else next(fitting, None)
            if place.run is None:
                return None
            self._failures = 0
            self._queue.remove(place.run)
            self._current.append(place.run)
            self._save()
            return place.run.id, self._entries[place.run.id].cwd

    def _settle(self, done: RunFolder) -> None:
        """A place is done with a run; one that it could not end comes first, in a held queue.

        What kept that one, such as a full disk, would keep all others from being trained, too.
        """
        run = read_run(done.path)
        locked = control.is_taken(done)
        if run.problem or run.status in ENDED or (locked and not self._is_marked(done)):
            self._forget(done)
            return
        self._done(done)
        if locked:  # as yet by a lost process; it comes last
            self._enqueue(done, None)
            return
        self.add(done, place=0)
        self.hold()
        self._say(f"The queue is held until you let it go on: {self.problem or 'no reason told'}")

    def say(self, problem: str) -> None:
        """A place waits for something."""
        self._say(problem)

    def lend(self, name: str) -> Lent:
        """A place does not see its run's folder: what it needs to train a copy."""
        with self._changed:
            place = self._places[name]
            if place.run is None or place.leaving:
                return Lent(refused=errno.ENOENT)
            place.home = place.home or Home(place.run)
            home = place.home
        return home.lend()

    def greet(self, name: str, greeting: Greeting) -> Reply:
        """A place trains a copy of its run: its heartbeat for the last order."""
        home = self._home_of(name)
        return home.greet(greeting) if home else Reply(over=True)

    def take_in(self, name: str, parcel: Parcel) -> Reply:
        """What changed in a place's copy of its run, as long as the run is that place's."""
        home = self._home_of(name)
        return home.take_in(parcel) if home else Reply(over=True)

    def _home_of(self, name: str) -> Home | None:
        with self._changed:
            place = self._places.get(name)
            return place.home if place and not place.leaving else None

    def _part(self, name: str) -> RunFolder | None:
        """The run that a place had; waits until nothing that came from it is being written."""
        with self._changed:
            place = self._places[name]
            place.leaving, home = True, place.home
        if home is not None:
            home.close()
        with self._changed:
            folder, place.run, place.home, place.leaving = place.run, None, None, False
            return folder

    def offer_images(self, name: str) -> Any:
        """The images of a place's run, for a node that does not have them; None without any."""
        with self._changed:
            run = self._places[name].run
        spec = read_run(run.path).spec if run else None
        return self._shelf.offer(spec.data, self._entries[run.id].cwd) if run and spec else None

    def lose(self, name: str, reason: str) -> None:
        """A place's process, device or node is lost: its run goes on elsewhere."""
        folder = self._part(name)
        if folder is None:
            return
        with self._changed:
            run = read_run(folder.path)
            self._done(folder)
            deaths = self._count_death(folder.id, run.summary.epochs_done)
            if run.problem or run.status in ("finished", "diverged", "stopped"):
                self._forget(folder)
                return
            if deaths < DEATHS:
                self._again(run, reason)
                return
            self._forget(folder)
            with contextlib.suppress(OSError):
                folder.write_summary(control.lost(run, reason).summary)

    def _count_death(self, run_id: str, epochs: int) -> int:
        """How often the run's process died since it last finished an epoch."""
        deaths, before = self._deaths.get(run_id, (0, epochs))
        self._deaths[run_id] = (deaths + 1 if epochs == before else 1, epochs)
        return self._deaths[run_id][0]

    def _forget(self, folder: RunFolder) -> None:
        self._done(folder)
        self._deaths.pop(folder.id, None)
        self._entries.pop(folder.id, None)

    def _watch(self) -> None:
        while not self._is_idle():
            if not self.why_not():
                self._look()
            time.sleep(BEAT)
        import ray

        ray.kill(ray.get_runtime_context().current_actor)

    def _look(self) -> None:
        try:
            self._open_places()
            self._look_at_places()
            self._save()
        except Exception as error:  # whatever Ray raises, the queue must not be left alone
            self._say(f"Ray: {short(error)}")
        with contextlib.suppress(OSError):
            self._store.beat()

    def _is_idle(self) -> bool:
        with self._changed:
            busy = self._places or (self.own and not self._held)
            return not busy and time.monotonic() - self._asked > IDLE

    def _open_places(self) -> None:
        """Ask for a place for each kind of need, unless one is being waited for."""
        with self._changed:
            waiting = [] if self._held else [self._entries[f.id].need for f in self._queue]
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
            self._failures += bool(problem) and self._places[name].run is None
        self.lose(name, problem or "its process ended")
        with self._changed:
            self._places.pop(name)
            if self._failures >= DEATHS:
                self._failures = 0
                self.hold()
                self._say(f"Ray cannot start a run: {problem}")

    def _save(self) -> None:
        """Write down what is in its hands, if that has changed."""
        with self._changed:
            training, waiting = (
                [self._entries[folder.id] for folder in folders]
                for folders in (self._current, self._queue)
            )
            try:
                if self._in_charge:
                    self._store.save(Held(training, waiting, self._held))
                if self._problem.startswith(UNSAVED):
                    self._problem = ""
            except OSError as error:
                self._say(f"{UNSAVED}: {error.strerror}.")

    def _load(self) -> None:
        """Queue what was in the hands of a dispatcher that is gone.

        The runs that wait are not looked at before their turn, as there may be thousands.
        """
        left = self._store.load()
        if self._store.damaged:
            self._say(f"The queue was damaged and is {self._store.damaged} now; see R on History.")
        self._held = left.held
        self._entries |= {entry.run_id: entry for entry in (*left.training, *left.waiting)}
        self._queue += [RunFolder(self._runs / entry.run_id) for entry in left.waiting]
        for entry in reversed(left.training):
            run = read_run(self._runs / entry.run_id)
            if run.problem or run.status in ENDED:
                self._entries.pop(entry.run_id, None)
            else:
                self._again(run, "its dispatcher ended")
        with contextlib.suppress(OSError):
            self._store.beat()

    def _again(self, run: Run, reason: str) -> None:
        """Put a lost run to the front of the queue."""
        with contextlib.suppress(UserError):  # a folder that refuses is queued all the same
            control.requeue(control.lost(run, reason), keep_order=True)
        self._enqueue(RunFolder(run.path), 0)

    def _is_marked(self, folder: RunFolder) -> bool:
        """Whether a run's folder says that it is in this queue, so that no trainer has begun."""
        progress = read_progress(folder.path)
        return progress is not None and progress.worker == self._holder()

    def _holder(self) -> Worker:
        return self._store.holder
