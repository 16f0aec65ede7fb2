"""Slots: which places `--devices` means, and that runs in them take turns with others."""

import dataclasses
import os
from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.queue import slots as slots_module
from cifar_tui.queue.machine import Gpu, Process, Snapshot
from cifar_tui.queue.slots import parse_slots, require_slot
from cifar_tui.queue.turns import device_turn
from cifar_tui.runs.control import user_name
from cifar_tui.training.process import Slot, this_slot


def gpu(index: int, *, utilisation: int = 0, used: int = 0, user: str = "") -> Gpu:
    processes = (Process(1, user, "python", used, mine=user == "me"),) if user else ()
    return Gpu(
        index, "H100", f"GPU-{index}", "1", utilisation, used, 80, None, None, None, processes
    )


def machine(*gpus: Gpu) -> Snapshot:
    return Snapshot(gpus, "1" if gpus else None, None, "cpu", 8, 0.0, 0, 1, (0.0, 0.0, 0.0))


@pytest.fixture(autouse=True)
def all_gpus_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_all_takes_every_gpu_but_those_that_others_use_heavily() -> None:
    found = machine(
        gpu(0),
        gpu(1, utilisation=97, user="anna"),
        gpu(2, used=70, user="ben"),
        gpu(3, utilisation=97, user="me"),
        gpu(4, used=8, user="ben"),
    )
    slots, notes = parse_slots("all", lambda: found)
    assert [slot.name for slot in slots] == ["cuda:0", "cuda:3", "cuda:4"]
    assert "cuda:1 is left alone: anna keep it 97 % busy" in notes[0]
    assert "cuda:2 is left alone: ben hold 88 % of its memory" in notes[1]


def test_a_device_that_is_named_is_used_however_busy_it_is() -> None:
    slots, notes = parse_slots("cuda:0", lambda: machine(gpu(0, utilisation=100, user="anna")))
    assert [slot.device for slot in slots] == ["cuda:0"] and notes == []


def test_all_is_the_cpu_where_there_is_no_gpu_and_refused_where_none_is_free() -> None:
    assert [slot.name for slot in parse_slots("all", machine)[0]] == ["cpu:0"]
    with pytest.raises(UserError, match="Every GPU is used heavily by others"):
        parse_slots("all", lambda: machine(gpu(0, utilisation=80, user="anna")))


def test_slots_of_the_cpu_share_the_cores_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "usable_cores", lambda: 4)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {2, 3, 6, 7}, raising=False)
    slots, _ = parse_slots("cpu:2", machine)
    assert [(slot.name, slot.cores) for slot in slots] == [("cpu:0", (2, 6)), ("cpu:1", (3, 7))]
    assert this_slot(slots[1].environment()) == Slot("cpu:1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpu", "'gpu' is no device"),
        ("cuda:1", "cuda:1 is not here"),
        ("cpu:0", "'cpu:0' is no device"),
        ("cpu:5000", "more runs at a time than"),
        ("cuda:0,cuda:0", "each device once"),
        (",", "each device once"),
    ],
)
def test_what_is_no_device_here_is_named(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_slots(text, lambda: machine(gpu(0)))


def test_a_run_goes_only_where_its_spec_sends_it() -> None:
    slots = [Slot("cuda:0"), Slot("cpu:0")]
    for device in ("auto", "cuda", "cuda:0", "cpu"):
        require_slot(device, slots)
    with pytest.raises(UserError, match="names device cuda:1; those in use are cuda:0, cpu:0"):
        require_slot("cuda:1", slots)


def test_slots_share_the_cpu_with_each_other_but_not_with_a_run_that_has_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR_TUI_LOCKS", str(tmp_path))
    run, runs = tmp_path / "runs" / "one", tmp_path / "runs"
    me, pid = user_name(os.getuid()), f"(pid {os.getpid()})"
    first, second, same = (device_turn("cpu", slot) for slot in ("cpu:0", "cpu:1", "cpu:0"))
    alone = device_turn("cpu")
    with first, second, same, alone:
        assert first.take(run) and second.take(runs / "two")
        assert not same.take(run) and same.holder(runs) == f"{me}'s one {pid}"
        assert same.holder(tmp_path) == f"{me}'s one in {runs} {pid}"
        assert not alone.take(run)
        first.release()
        second.release()
        assert alone.take(run)
        assert not first.take(run)


def test_a_gpu_that_tells_nothing_of_its_use_is_taken() -> None:
    silent = dataclasses.replace(gpu(0), utilisation=None, memory_used=None, memory_total=None)
    assert [slot.name for slot in parse_slots("all", lambda: machine(silent))[0]] == ["cuda:0"]
