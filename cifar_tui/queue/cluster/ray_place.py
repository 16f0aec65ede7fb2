"""What a process does that Ray starts on some node: train what the dispatcher names.

A node that does not see the folder of runs trains a copy that is kept the same as the run's own.
"""

import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.files import read_json, write_json
from cifar_tui.queue.cluster.ray_mirror import EVERY, Copy, Courier, Greeting, Lent, Parcel, Reply
from cifar_tui.runs.folder import RunFolder, is_run_id
from cifar_tui.runs.record import ENDED, Worker, is_alive, this_worker

PREFIX = "cifar-tui-ray-"
"""How the names of the places' own folders begin."""
WORKER = "worker.json"
"""Whose such a folder is."""
PATIENCE = 180
"""Seconds to wait for a run that a process of a lost node may still hold."""
TIMEOUT = 30.0
"""Seconds without an answer to a greeting after which the dispatcher counts as silent."""


def fill(dispatcher: Any, name: str, runs: str, cpus: int, gpus: float) -> None:
    """Train what the dispatcher names, run after run, in a process that Ray started for it.

    It uses as many threads as it was given CPUs, and only the GPUs that Ray lets it see. Ray
    decides who shares a device, so its runs take no turns with others.
    """
    import ray

    ray.get(dispatcher.begin.remote(name))
    os.environ["OMP_NUM_THREADS"] = str(cpus)
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from cifar_tui.training.process import prepare_process

    prepare_process()
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as own:
        write_json(Path(own) / WORKER, this_worker().model_dump(), durable=False)
        os.environ["CIFAR_TUI_LOCKS"] = own
        place = Place(dispatcher, name, Path(runs), Path(own))
        while (given := ray.get(dispatcher.take.remote(name))) is not None:
            if not place.carry_out(*given):
                return


def sweep(folder: Path) -> None:
    """Remove what places of this user left that were killed."""
    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            worker = Worker.model_validate(read_json(left / WORKER))
            if left.stat().st_uid == os.getuid() and is_alive(worker) is False:
                shutil.rmtree(left)


class Place:
    """One such process, as the dispatcher knows it by its name."""

    def __init__(self, dispatcher: Any, name: str, runs: Path, own: Path) -> None:
        self._dispatcher = dispatcher
        self._name = name
        self._runs = runs
        self._own = own

    def carry_out(self, run_id: str, cwd: str) -> bool:
        """Train a run to its end; tells whether this process can train another."""
        from cifar_tui.training.faults import DeviceLost, Gone, Unwritable, storage_reason

        os.chdir(cwd if os.path.isdir(cwd) else self._own)
        folder = RunFolder(self._runs / run_id)
        try:
            if (folder.path / "spec.toml").is_file():
                self._train(folder)
                return True
            return self._train_copy(run_id)
        except DeviceLost as error:
            self._ask("lose", str(error))
            return False
        except (FileNotFoundError, Gone):
            pass
        except Unwritable as error:
            self._say(str(error))
        except OSError as error:
            self._say(storage_reason(error))
        return True

    def _train(self, folder: RunFolder, stopping: Callable[[], str] = lambda: "") -> None:
        """Carry a run out, once no process of a lost node holds it any more."""
        from cifar_tui.queue.train_run import perform

        with contextlib.suppress(UserError, OSError):
            self._find_images(folder.spec().data)
        for _ in range(PATIENCE):
            if perform(folder, stopping, blocked=self._say).status in ENDED:
                break
            time.sleep(1)

    def _train_copy(self, run_id: str) -> bool:
        """Train a copy of a run; tells whether it was this process's to the end."""
        if not is_run_id(run_id):
            raise ValueError(run_id)
        path = self._own / "runs" / run_id
        path.parent.mkdir(exist_ok=True)
        try:
            copy = Copy(path, self._borrow())
            with Courier(copy, Road(self._dispatcher, self._name)) as courier:
                self._train(copy, lambda: "given up by its home" if courier.over else "")
            return not courier.over
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _borrow(self) -> Lent:
        """What the copy begins with, once no process of a lost node holds the run any more."""
        for _ in range(PATIENCE):
            lent: Lent = self._ask("lend")
            if lent.refused != errno.EAGAIN:
                break
            time.sleep(1)
        if lent.refused:
            raise OSError(lent.refused, os.strerror(lent.refused))
        return lent

    def _find_images(self, where: str) -> None:
        """Have the images sent that are not on this node, when they are first read."""
        from cifar_tui.data.loading import IMAGES
        from cifar_tui.queue.cluster.ray_images import is_here, unpack

        IMAGES.elsewhere.clear()
        offer = None if is_here(where) else self._ask("offer_images")
        if offer is None:
            return

        def read() -> Any:
            import ray

            if offer.problem:
                raise UserError(offer.problem)
            return unpack(ray.get(offer.ref))

        IMAGES.elsewhere[where] = (offer.version, read)

    def _ask(self, question: str, *arguments: Any) -> Any:
        import ray

        return ray.get(getattr(self._dispatcher, question).remote(self._name, *arguments))

    def _say(self, problem: str) -> None:
        self._dispatcher.say.remote(problem)


class Road:
    """Through the cluster to the dispatcher, which holds the run's own folder."""

    def __init__(self, dispatcher: Any, name: str) -> None:
        self._dispatcher = dispatcher
        self._name = name

    def greet(self, greeting: Greeting) -> Reply:
        """Deliver a greeting; raises what Ray does, also when there is no answer in time."""
        import ray

        reply: Reply = ray.get(self._dispatcher.greet.remote(self._name, greeting), timeout=TIMEOUT)
        return reply

    def send(self, parcel: Parcel, meanwhile: Callable[[], bool]) -> Reply:
        """Deliver a parcel; on a slow line that takes as long as greetings are answered."""
        import ray

        ref = self._dispatcher.take_in.remote(self._name, parcel)
        while not ray.wait([ref], timeout=EVERY)[0]:
            if not meanwhile():
                return Reply(over=True)
        reply: Reply = ray.get(ref)
        return reply
