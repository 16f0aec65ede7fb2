"""What the process of a slot does: trains the run folders it is told of, one after another."""

import contextlib
import json
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from cifar_tui.runs.folder import RunFolder
from cifar_tui.training.device import settle, this_slot
from cifar_tui.training.process import prepare_process

DEVICE_LOST = 3
"""Exit code of a process whose device failed."""


def serve(runs: Path, orders: BinaryIO, say: Callable[[dict[str, Any]], None]) -> int:
    """Train what `orders` name, one JSON object a line, until they end; returns the exit code.

    `{"train": ID}` is answered with `{"done": ID}`; `{"close": REASON}` stops the run in training.
    When the orders end unasked, as their sender has died, the run in training is still ended.
    """
    settle()
    prepare_process()
    waiting: queue.Queue[str | None] = queue.Queue()
    closing: list[str] = []
    """The reason to stop, once there is one."""

    def listen() -> None:
        for line in orders:
            order = json.loads(line)
            if order.get("close"):
                closing.append(str(order["close"]))
                break
            waiting.put(str(order["train"]))
        waiting.put(None)

    threading.Thread(target=listen, daemon=True).start()
    from cifar_tui.queue.train_run import perform
    from cifar_tui.training.faults import DeviceLost, Unwritable, storage_reason

    try:
        _use_slot()
    except (RuntimeError, AssertionError, AttributeError) as error:  # the last two: torch for CPUs
        say({"lost": f"it cannot be used ({str(error).splitlines()[0]})"})
        return DEVICE_LOST
    while (run_id := waiting.get()) is not None and not closing:
        try:
            perform(
                RunFolder(runs / run_id), lambda: "".join(closing), lambda p: say({"problem": p})
            )
        except DeviceLost as error:
            say({"lost": str(error)})
            return DEVICE_LOST
        except Unwritable as error:
            say({"problem": str(error)})
        except OSError as error:
            say({"problem": storage_reason(error)})
        say({"done": run_id})
    return 0


def serve_stdin(runs: Path) -> int:
    """Serve whoever started this process and holds its standard input and output."""

    def say(answer: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(answer), flush=True)

    # Not sys.stdin, at which an interpreter that ends aborts while another thread reads it.
    return serve(runs, os.fdopen(os.dup(0), "rb"), say)


def _use_slot() -> None:
    """Make the slot's GPU this process's own."""
    import torch

    slot = this_slot()
    if slot is not None and slot.device.startswith("cuda"):
        torch.cuda.set_device(torch.device(slot.device))
