"""A device that fails: the run says why, the queue goes on or is kept."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_tui.data.dataset import Dataset
from cifar_tui.data.loading import IMAGES, open_dataset
from cifar_tui.locks import Lock
from cifar_tui.queue import run_writer, train_run
from cifar_tui.queue.queue import ThreadQueue
from cifar_tui.queue.turns import device_turn
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_progress, read_run
from cifar_tui.spec.settings import RunSpec
from cifar_tui.training.faults import explain, is_device_lost

Fail = Callable[[Exception], None]


@pytest.fixture
def first_run_fails(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Let training raise an error that no machine without a GPU can raise, the first time only."""

    def arrange(error: Exception) -> None:
        real, failed = train_run.train, []

        def train(*arguments: Any) -> Any:
            if failed:
                return real(*arguments)
            failed.append(True)
            raise error

        monkeypatch.setattr(train_run, "train", train)

    return arrange


def two_runs(tmp_path: Path, data: Path) -> tuple[ThreadQueue, RunFolder, RunFolder]:
    worker = ThreadQueue()
    spec = RunSpec(data=str(data), epochs=1, batch_size=300)
    folders = [RunFolder.create(tmp_path, spec) for _ in range(2)]
    for folder in folders:
        worker.add(folder)
    return worker, folders[0], folders[1]


def test_out_of_memory_names_the_batch_size_and_the_queue_goes_on(
    tmp_path: Path, tiny_course: Path, first_run_fails: Fail
) -> None:
    first_run_fails(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"))
    worker, first, second = two_runs(tmp_path, tiny_course)
    worker.finish()
    worker.start()
    worker.join()
    failed = read_run(first.path).summary
    assert failed.status == "failed"
    assert "batch_size 300" in failed.reason
    assert "smaller batch_size" in failed.reason
    assert read_run(second.path).status == "finished"


def test_a_lost_cuda_context_keeps_the_queue_and_asks_for_a_restart(
    tmp_path: Path, tiny_course: Path, first_run_fails: Fail
) -> None:
    first_run_fails(RuntimeError("CUDA error: an illegal memory access was encountered"))
    worker, first, second = two_runs(tmp_path, tiny_course)
    worker.start()
    while not worker.held:
        assert worker.alive
    failed = read_run(first.path).summary
    assert failed.status == "failed"
    assert "restart cifar-tui" in failed.reason
    assert "restart cifar-tui" in worker.problem
    assert worker.queued == [second.id]
    assert read_run(second.path).status == "queued"
    worker.close()
    worker.join()


CudaError: type[Exception] = getattr(torch, "AcceleratorError", RuntimeError)
"""What newer versions of torch raise for CUDA's errors."""
ILLEGAL = (
    "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress'"
)
FULL = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (CudaError(ILLEGAL), True),
        (RuntimeError("CUDA error: unspecified launch failure"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), True),
        (RuntimeError("CUDA error: no CUDA-capable device is detected"), True),
        (RuntimeError("CUDA error: unknown error"), True),
        (CudaError("CUDA error: out of memory"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), False),
        (RuntimeError(FULL), False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), False),
        (RuntimeError("CUDA error: operation not permitted when stream is capturing"), False),
        (RuntimeError("CUDA error: invalid configuration argument"), False),
        (ValueError("unknown error"), False),
    ],
    ids=str,
)
def test_only_an_error_that_outlives_its_call_loses_the_device(
    error: Exception, lost: bool
) -> None:
    """Other people's memory on a shared GPU, above all, does not."""
    assert is_device_lost(error) == lost


@pytest.mark.parametrize(
    "text", ["CUDA error: out of memory", FULL, "CUDA out of memory. Tried to allocate 2.00 GiB"]
)
def test_every_kind_of_full_gpu_names_the_batch_size(text: str) -> None:
    reason, trace = explain(RuntimeError(text), RunSpec(batch_size=300))
    assert "batch_size 300" in reason
    assert trace == ""


def test_a_fault_of_the_program_is_kept_with_its_traceback(
    tmp_path: Path, tiny_course: Path, first_run_fails: Fail
) -> None:
    first_run_fails(ZeroDivisionError("division by zero"))
    worker, first, second = two_runs(tmp_path, tiny_course)
    worker.finish()
    worker.start()
    worker.join()
    assert read_run(first.path).summary.reason == "ZeroDivisionError: division by zero"
    assert "Traceback" in (first.path / "events.jsonl").read_text()
    assert read_run(second.path).status == "finished"


def test_a_folder_that_is_gone_ends_its_run_and_not_the_queue(
    tmp_path: Path, tiny_course: Path
) -> None:
    worker, first, second = two_runs(tmp_path, tiny_course)
    for file in first.path.iterdir():
        file.unlink()
    first.path.rmdir()
    worker.finish()
    worker.start()
    worker.join()
    assert read_run(second.path).status == "finished"


def test_a_run_whose_images_take_long_to_be_read_is_not_silent(
    tmp_path: Path, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_writer, "READING_BEAT", 0.01)
    where = str(tiny_course)
    folder = RunFolder.create(tmp_path, RunSpec(data=where, epochs=1))
    counters: set[int] = set()

    def read() -> Dataset:
        end = time.monotonic() + 30
        while len(counters) < 3 and time.monotonic() < end:
            progress = read_progress(folder.path)
            counters.add(progress.counter if progress else 0)
        return open_dataset(where)

    monkeypatch.setattr(IMAGES, "open", lambda _: read())
    assert train_run.perform(folder).status == "finished"
    assert len(counters) == 3


def test_a_pause_is_taken_once_the_device_has_done_what_it_was_given(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, RunSpec(data="demo"))
    summary = read_run(folder.path).summary
    run = train_run.Session(folder, summary, Lock(folder.path / "lock"), lambda: "", lambda _: None)
    folder.write_order("pause")
    seen: list[str] = []

    def settle() -> None:
        seen.append(read_run(folder.path).status)
        folder.write_order("go")

    run.tick("train", 1, 10, 100, settle)
    assert seen == [summary.status]
    assert read_run(folder.path).summary.status == "running"


def test_waiting_for_the_device_counts_in_no_time(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data="demo"))
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"seconds": 12.5}))
    looks: list[float] = []

    def stopping() -> str:
        found = read_run(folder.path).summary
        if "waits for cpu" in found.reason:
            looks.append(found.seconds)
        return "stopped by the test" if len(looks) > 1 else ""

    with device_turn("cpu") as other:
        assert other.take(tmp_path / "elsewhere" / "other")
        ended = train_run.perform(folder, stopping)
    assert looks == [12.5, 12.5]
    assert (ended.status, ended.seconds) == ("stopped", 12.5)


def test_a_pause_counts_in_no_time(tmp_path: Path, tiny_course: Path) -> None:
    folder = RunFolder.create(tmp_path, RunSpec(data=str(tiny_course), epochs=10_000))
    folder.write_order("pause")
    looks: list[float] = []

    def stopping() -> str:
        found = read_run(folder.path).summary
        if found.status == "paused":
            looks.append(found.seconds)
        return "stopped by the test" if len(looks) > 1 else ""

    ended = train_run.perform(folder, stopping)
    assert ended.status == "stopped"
    assert looks[0] > 0
    assert ended.seconds == looks[0]
