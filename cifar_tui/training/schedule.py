"""The learning rate of each epoch; needs no torch."""

import math

from cifar_tui.spec.settings import RunSpec


def lr_at(spec: RunSpec, epoch: int) -> float:
    """Learning rate in force during `epoch` (from 1), as PyTorch's schedulers give it.

    A decay at milestone k is in force from epoch k+1 on. Warm-up scales the first epochs by
    epoch / (warmup + 1).
    """
    done = epoch - 1
    factor = 1.0
    if spec.schedule == "step":
        factor = spec.decay_factor ** (done // spec.decay_every)
    elif spec.schedule == "milestones":
        factor = spec.decay_factor ** sum(m <= done for m in spec.milestones)
    elif spec.schedule == "cosine":
        factor = (1 + math.cos(math.pi * done / spec.epochs)) / 2
    return spec.lr * factor * min(1.0, epoch / (spec.warmup + 1))
