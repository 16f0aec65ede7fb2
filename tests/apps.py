"""A real app over a folder of runs, and runs as their folders would look."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from cifar_tui.app import CifarApp
from cifar_tui.queue.queue import ThreadQueue
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.runs.record import Point, Progress, this_worker
from cifar_tui.spec.settings import RunSpec
from tests.told import tell
from tests.waiting import wait_for

MakeApp = Callable[..., CifarApp]
SaveRun = Callable[..., RunFolder]


def run_in_training(runs: Path, name: str = "elsewhere") -> RunFolder:
    """The folder of a run in its third epoch, as if a process trained it."""
    folder = RunFolder.create(runs, RunSpec(name=name, epochs=10))
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"status": "running"}))
    folder.write_progress(
        Progress(worker=this_worker(), phase="train", epoch=3, images_done=50, images=100)
    )
    return folder


async def launch(pilot: Pilot[None], *specs: RunSpec) -> None:
    """Launch runs, and wait until they are queued."""
    app = pilot.app
    assert isinstance(app, CifarApp)
    app.launcher.launch(specs, len(specs))
    await wait_for(pilot, lambda: not app.launcher.making)


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Make an app over tmp_path/runs, showing a run to watch; its worker is closed at the end."""
    made: list[CifarApp] = []

    def make(data: str = "demo", watch: str | None = None, **options: Any) -> CifarApp:
        mode = options.pop("mode", "live" if watch else "new")
        app = CifarApp(tmp_path / "runs", data, ThreadQueue(), mode=mode, **options)
        app.watched = watch
        made.append(app)
        return app

    yield make
    for app in made:
        app.worker.close()
        app.worker.join()


@pytest.fixture
def save_run(tmp_path: Path) -> SaveRun:
    """Write the folder of a run that has ended, with the val_acc of each of its epochs."""

    def save(
        val_accs: tuple[float, ...] = (0.5, 0.6), *, status: str = "finished", **settings: Any
    ) -> RunFolder:
        spec = RunSpec(**{"epochs": max(1, len(val_accs)), **settings})
        folder = RunFolder.create(tmp_path / "runs", spec)
        points = [
            Point(
                epoch=i, val_acc=acc, val_loss=2 - acc, train_acc=acc + 0.05, train_loss=1.9 - acc
            )
            for i, acc in enumerate(val_accs, 1)
        ]
        for point in points:
            tell(
                folder,
                {"event": "epoch", "lr": spec.lr, "images_per_second": 12_345.0}
                | {"train_seconds": 3.6, "val_seconds": 0.2}
                | point.model_dump(),
            )
        summary = read_run(folder.path).summary
        folder.write_summary(
            summary.model_copy(
                update={
                    "status": status,
                    "epochs_done": len(points),
                    "last": points[-1] if points else None,
                    "best": max(points, key=lambda p: p.val_acc, default=None),
                    "initial_loss": 2.3034,
                    "parameters": 82_030,
                    "device": "cpu",
                    "source": "course",
                    "seconds": 12.5,
                }
            )
        )
        return folder

    return save
