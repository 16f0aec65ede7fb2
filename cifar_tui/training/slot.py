"""The place that a process trains in: one GPU, or a share of the cores; needs no torch."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

SLOT, CORES = "CIFAR_TUI_SLOT", "CIFAR_TUI_CORES"
"""What a process that trains in a slot is told of it."""


@dataclass(frozen=True)
class Slot:
    """One place to train: `cuda:1`, or `cpu:0` with its share of the cores."""

    name: str
    cores: tuple[int, ...] = ()

    @property
    def device(self) -> str:
        """The torch device of what is trained here."""
        return "cpu" if self.name.startswith("cpu") else self.name

    def takes(self, device: str) -> bool:
        """Whether a run whose spec names this device can be trained here."""
        named = "cuda:0" if device == "cuda" else device
        return device == "auto" or named == self.device

    def environment(self) -> dict[str, str]:
        """What its process must be told."""
        return {SLOT: self.name} | ({CORES: ",".join(map(str, self.cores))} if self.cores else {})


def this_slot(environ: Mapping[str, str] = os.environ) -> Slot | None:
    """The slot that this process trains in, if any."""
    name = environ.get(SLOT)
    return Slot(name) if name else None


def slot_name() -> str:
    """The name of this process's slot, or nothing."""
    slot = this_slot()
    return slot.name if slot else ""


def settle(environ: Mapping[str, str] = os.environ) -> None:
    """Keep this process to its slot's cores; to be called before torch is imported."""
    cores = environ.get(CORES)
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
