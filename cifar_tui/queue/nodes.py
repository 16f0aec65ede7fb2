"""The machines of a cluster, and what is taken on them."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from cifar_tui.errors import UserError


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


LOOK_EVERY, LOOK_UNTIL = 15.0, 30.0
"""Seconds between two looks at nodes, and after which nobody wants to know any more."""
LOOK_WITHIN = 20.0
"""Seconds that the answer may take, as runs wait behind it."""


class Watch:
    """The nodes that `find(seconds)` tells of; looked at again while somebody wants to know."""

    def __init__(self, find: Callable[[float], tuple[Node, ...]]) -> None:
        self._find = find
        self._nodes: tuple[Node, ...] = ()
        self._wanted = self._asked = -math.inf

    @property
    def nodes(self) -> tuple[Node, ...]:
        """As last seen; none without an answer."""
        self._wanted = time.monotonic()
        return self._nodes

    def ask(self, seconds: float) -> tuple[Node, ...]:
        """As they are now; raises UserError without an answer in time."""
        self._nodes = ()
        try:
            self._nodes = self._find(seconds)
        finally:
            self._asked = time.monotonic()
        return self._nodes

    def look(self, seconds: float = LOOK_WITHIN) -> None:
        """Ask now and then, while somebody wants to know, and wait up to so long."""
        now = time.monotonic()
        if now - self._wanted < LOOK_UNTIL and now - self._asked >= LOOK_EVERY:
            with contextlib.suppress(UserError):
                self.ask(seconds)
