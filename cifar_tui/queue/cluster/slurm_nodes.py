"""The nodes of a Slurm cluster, as sinfo tells of them."""

import contextlib
import math
import re
import time

from cifar_tui.errors import UserError
from cifar_tui.queue.cluster import sbatch
from cifar_tui.queue.nodes import Node

FIELDS = ("StateLong", "CPUsState", "Memory", "AllocMem", "Gres", "GresUsed", "NodeList")
"""A bar ends each but the last; without a number none is cut off."""
EVERY, UNTIL = 15.0, 30.0
"""Seconds between two looks, and after which nobody wants to know any more."""
WITHIN = 20.0
"""Seconds that the answer may take, as runs wait behind it."""
MIB = 2**20
WORKING = ("idle", "mixed", "allocated", "completing", "planned")
"""States in which a node takes work, or will when a job there has ended."""
AWAY = "*$@^!"
"""Marks after a state: not responding, maintenance, reboot asked for and begun, powering off."""
SHARES = ("shard", "mps")
"""What Slurm divides GPUs into."""


class Watch:
    """The nodes of a partition, or all; looked at again while somebody wants to know."""

    def __init__(self, partition: str) -> None:
        self._partition = partition
        self._nodes: tuple[Node, ...] = ()
        self._wanted = self._asked = -math.inf

    @property
    def nodes(self) -> tuple[Node, ...]:
        """As last seen; none without an answer."""
        self._wanted = time.monotonic()
        return self._nodes

    def ask(self, seconds: float) -> tuple[Node, ...]:
        """As they are now; raises UserError without an answer in time."""
        try:
            self._nodes = find_nodes(self._partition, seconds)
        except sbatch.Refused as error:
            self._nodes = ()
            raise UserError(f"Slurm does not tell of its nodes: {error}") from None
        finally:
            self._asked = time.monotonic()
        return self._nodes

    def look(self, seconds: float = WITHIN) -> None:
        """Ask now and then, while somebody wants to know, and wait up to so long."""
        now = time.monotonic()
        if now - self._wanted < UNTIL and now - self._asked >= EVERY:
            with contextlib.suppress(UserError):
                self.ask(seconds)


def find_nodes(partition: str, seconds: float) -> tuple[Node, ...]:
    """All nodes, or a partition's, as they are now; raises Refused, also after so many seconds."""
    command = ["sinfo", "--noheader", "--Node", f"--Format={':|,'.join(FIELDS)}:"]
    command += [f"--partition={partition}"] if partition else []
    return parse_nodes(sbatch.ask(command, seconds=seconds))


def parse_nodes(answer: str) -> tuple[Node, ...]:
    """The nodes in sinfo's answer, each once, though it names them for every partition."""
    nodes: dict[str, Node] = {}
    for line in answer.splitlines():
        fields = [field.strip() for field in line.split("|", len(FIELDS) - 1)]
        if len(fields) == len(FIELDS) and fields[-1]:
            nodes.setdefault(fields[-1], _node(*fields))
    return tuple(nodes.values())


def _node(
    state: str, cpus: str, memory: str, allocated: str, gres: str, used: str, name: str
) -> Node:
    taken, _, _, total = [_number(part) for part in f"{cpus}///".split("/")[:4]]
    whole = _count(gres, "gpu")
    size, held = _number(memory) * MIB, _number(allocated) * MIB
    return Node(
        name=name,
        state=state,
        cpus=total,
        cpus_used=taken,
        gpus=whole,
        gpus_used=_taken_gpus(whole, gres, used) if whole else None,
        memory=size if size > MIB else None,  # 1 MB stands for a node whose memory is not told
        memory_used=held if held or not taken else None,  # it is 0 where memory is not shared out
        usable=state.rstrip("*~#!%$@^-+") in WORKING and not set(state) & set(AWAY),
    )


def _taken_gpus(whole: int, gres: str, used: str) -> float:
    """GPUs that jobs have, those of which they have a part in proportion."""
    taken = float(_count(used, "gpu"))
    for kind in SHARES:
        parts = _count(gres, kind)
        taken += whole * _count(used, kind) / parts if parts else 0
    return min(taken, whole)


def _count(gres: str, kind: str) -> int:
    """How many of a kind: 6 gpu in `gpu:a100:4(IDX:0-3),gpu:h100:2(S:0-1),shard:8`."""
    items = [item.split(":") for item in re.sub(r"\([^()]*\)", "", gres).split(",")]
    return sum(_number(item[-1]) if item[1:] else 1 for item in items if item[0] == kind)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0
