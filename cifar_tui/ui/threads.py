"""Threads for what the screens do beside training, each ending with its work."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class ThreadPerJob(ThreadPoolExecutor):
    """Gives each job a thread of its own; asyncio takes a subclass of its own pool only.

    torch computes with a team of threads for each thread that ever used it, for as long as that
    one lives; beside a second team, waiting threads sleep at once. A run trained at two thirds of
    its speed after predictions had been exported in a thread that stayed (docs/performance.md).
    """

    def __init__(self) -> None:
        super().__init__()
        self._own: set[threading.Thread] = set()

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> "Future[Any]":
        """Begin the job at once; its result or exception comes in the future."""
        future: Future[Any] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = work(*given, **named)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        self._own = {thread for thread in self._own if thread.is_alive()}
        thread = threading.Thread(target=run, name="beside")
        thread.start()
        self._own.add(thread)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """With `wait`, return when all jobs have ended."""
        for thread in self._own if wait else ():
            thread.join()
