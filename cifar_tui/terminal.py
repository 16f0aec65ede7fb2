"""The terminal that the program was started in."""

import os
from collections.abc import Sequence


def let_go(descriptors: Sequence[int]) -> None:
    """Point standard descriptors away from a terminal that is gone, so that printing is safe."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
