"""The machines of a cluster as a backend sees them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """One machine: how much of it is taken, by anybody; None where the cluster has no figure.

    Memory is in bytes; a GPU may be taken in parts. `state` is the cluster's own word, and `usable`
    whether new work may begin there by it.
    """

    name: str
    state: str
    cpus: int
    cpus_used: float | None = None
    gpus: float = 0
    gpus_used: float | None = None
    memory: int | None = None
    memory_used: int | None = None
    usable: bool = True

    @property
    def has_room(self) -> bool:
        """Whether a run finds a core there, and a GPU or a part of one where it has any."""
        core = (self.cpus_used or 0) < self.cpus
        return self.usable and core and (not self.gpus or (self.gpus_used or 0) < self.gpus)
