"""What the screens compute beside a run leaves no threads behind that would slow it down."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from cifar_tui.tui.jobs import ThreadPerJob
from tests.apps import MakeApp
from tests.waiting import PATIENCE, STEP, wait_for

TASKS = Path("/proc/self/task")


def soon(condition: Callable[[], bool]) -> bool:
    """Whether it comes to hold; the system tells nobody when a thread is gone."""
    for _ in range(PATIENCE):
        if condition():
            return True
        time.sleep(STEP)
    return False


@pytest.fixture
def two_threads() -> Iterator[None]:
    """torch with a team of two, whatever the machine has."""
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


@pytest.mark.skipif(not TASKS.exists(), reason="threads are counted in /proc")
def test_no_team_of_torch_stays_behind(two_threads: None) -> None:
    pool = ThreadPerJob()

    def convolve() -> int:
        torch.nn.functional.conv2d(torch.ones(64, 3, 32, 32), torch.ones(8, 3, 3, 3))
        return len(list(TASKS.iterdir()))

    before = len(list(TASKS.iterdir()))
    beside = pool.submit(convolve).result(60)
    pool.shutdown()
    assert beside >= before + 2  # the job's thread, and another of its team
    assert soon(lambda: len(list(TASKS.iterdir())) <= before)


def test_results_errors_and_the_end_come_back() -> None:
    pool = ThreadPerJob()
    go = threading.Event()
    slow = pool.submit(go.wait, 60)
    assert pool.submit(lambda a, b: a + b, 1, b=2).result(60) == 3
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(60)
    pool.shutdown(wait=False)
    assert not slow.done()
    go.set()
    pool.shutdown()
    assert slow.done()


async def test_the_app_works_in_threads_that_end(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test() as pilot:
        thread = await app.run_worker(threading.current_thread, thread=True).wait()
        assert thread is not threading.main_thread()
        await wait_for(pilot, lambda: not thread.is_alive())
