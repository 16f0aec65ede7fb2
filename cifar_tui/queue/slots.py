"""The slots of this machine, where runs train side by side: one per GPU or share of the cores."""

import os
import re
from collections.abc import Callable, Sequence

from cifar_tui.errors import UserError
from cifar_tui.queue.machine import Gpu, Snapshot, gpu_for, snapshot
from cifar_tui.training.process import Slot, usable_cores

BUSY_PERCENT = 50
"""A GPU is used heavily by others from this utilisation or share of its memory on."""
HELP = "as in cuda:0,cuda:1 or cpu:2 (two runs on the CPU), or all"


def parse_slots(text: str, look: Callable[[], Snapshot] = snapshot) -> tuple[list[Slot], list[str]]:
    """The slots meant by `--devices`, and a sentence for each device that is left alone.

    `all` takes every GPU that others do not use heavily, or the CPU where there is none. Raises
    UserError for a device that is not here.
    """
    if text == "all":
        return _all_slots(look())
    slots: list[Slot] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        slots += _cpu_slots(word) if word.startswith("cpu") else [_gpu_slot(word, look())]
    names = [slot.name for slot in slots]
    if not slots or len(set(names)) < len(names):
        raise UserError(f"--devices takes each device once, {HELP}; got '{text}'.")
    return slots, []


def require_slot(device: str, slots: Sequence[Slot]) -> None:
    """Raise UserError where a run names a device on which no slot trains."""
    if not slots:
        raise UserError("No device is left to train on; B in the app chooses other ones.")
    if not any(slot.takes(device) for slot in slots):
        names = ", ".join(slot.name for slot in slots) or "none"
        raise UserError(f"A run names device {device}; those in use are {names}.")


def _cpu_slots(word: str) -> list[Slot]:
    """`cpu:2` as two slots that share the cores evenly."""
    match = re.fullmatch(r"cpu(?::([1-9]\d{0,3}))?", word)
    if not match:
        raise UserError(f"'{word}' is no device; --devices takes them {HELP}.")
    count = int(match[1] or 1)
    usable = usable_cores()
    if count > usable:
        raise UserError(f"{word} asks for more runs at a time than the {usable} cores here.")
    if not hasattr(os, "sched_getaffinity"):
        return [Slot(f"cpu:{i}") for i in range(count)]
    cores = sorted(os.sched_getaffinity(0))
    return [Slot(f"cpu:{i}", tuple(cores[i::count])) for i in range(count)]


def _gpu_slot(word: str, found: Snapshot) -> Slot:
    match = re.fullmatch(r"cuda(?::(\d{1,2}))?", word)
    if not match:
        raise UserError(f"'{word}' is no device; --devices takes them {HELP}.")
    name = f"cuda:{int(match[1] or 0)}"
    if gpu_for(name, found) is None:
        raise UserError(f"{word} is not here; `cifar-tui devices` shows what is.")
    return Slot(name)


def _all_slots(found: Snapshot) -> tuple[list[Slot], list[str]]:
    names = [f"cuda:{number}" for number in range(len(found.gpus))]
    used = {name: used_by_others(gpu) for name in names if (gpu := gpu_for(name, found))}
    if not used:
        return _cpu_slots("cpu"), []
    slots = [Slot(name) for name, why in used.items() if not why]
    left = [
        f"{name} is left alone: {why}; name it in --devices to use it."
        for name, why in used.items()
        if why
    ]
    if not slots:
        raise UserError(f"Every GPU is used heavily by others. {' '.join(left)}")
    return slots, left


def used_by_others(gpu: Gpu) -> str:
    """Who uses it heavily, in words; empty when nobody else does."""
    others = [process for process in gpu.processes if not process.mine]
    mine = [process for process in gpu.processes if process.mine]
    if mine and not others:
        return ""
    users = ", ".join(sorted({process.user for process in others if process.user})) or "others"
    if gpu.utilisation is not None and gpu.utilisation >= BUSY_PERCENT:
        return f"{users} keep it {gpu.utilisation} % busy"
    share = 100 * (gpu.memory_used or 0) / gpu.memory_total if gpu.memory_total else 0
    return f"{users} hold {share:.0f} % of its memory" if share >= BUSY_PERCENT else ""
