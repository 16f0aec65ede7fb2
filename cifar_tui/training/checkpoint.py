"""best.pt and last.pt: plain Python types and tensors, read with weights_only=True."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cifar_tui.errors import UserError
from cifar_tui.runs.files import write_atomic
from cifar_tui.settings import make_spec
from cifar_tui.spec import RunSpec

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """The state after a whole epoch; `state_dict`, `epoch` and `lr` are the course's names."""

    state_dict: dict[str, torch.Tensor]
    epoch: int
    lr: float
    optimiser: dict[str, Any]
    step: int
    spec: RunSpec
    best: dict[str, Any] | None

    def to_bytes(self) -> bytes:
        """The file's content; loads anywhere with torch.load(weights_only=True)."""
        content = {
            "format": FORMAT,
            "state_dict": {k: v.detach().cpu().contiguous() for k, v in self.state_dict.items()},
            "epoch": self.epoch,
            "lr": self.lr,
            "optimiser": self.optimiser,
            "step": self.step,
            "spec": self.spec.model_dump(mode="json"),
            "best": self.best,
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()


def save(path: Path, content: bytes) -> None:
    """Write a checkpoint's content in one step and wait for the disk."""
    write_atomic(path, content)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint of ours; raises UserError naming the file and what is wrong with it."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"There is no checkpoint {path}: no epoch was finished.") from None
    except Exception:  # the reader of a damaged file raises whatever it stumbles over
        raise UserError(f"{path} is not a checkpoint that can be read safely.") from None
    try:
        if content["format"] != FORMAT:
            raise UserError(f"{path} has format {content['format']}, not {FORMAT}.")
        return Checkpoint(
            state_dict=dict(content["state_dict"]),
            epoch=int(content["epoch"]),
            lr=float(content["lr"]),
            optimiser=dict(content["optimiser"]),
            step=int(content["step"]),
            spec=make_spec(content["spec"]),
            best=content["best"],
        )
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path} is not one of this program's checkpoints.") from None
