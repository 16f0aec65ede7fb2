"""The machines of a cluster as a backend sees them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One machine: how much of it is taken, by anybody; None where the cluster has no figure.

    Memory is in bytes; a GPU may be taken in parts. `state` is the cluster's own word.
    """

    name: str
    state: str
    cpus: int
    cpus_used: float | None = None
    gpus: float = 0
    gpus_used: float | None = None
    memory: int | None = None
    memory_used: int | None = None
