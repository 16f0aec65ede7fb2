"""meta.json: where and with what a run was made."""

import platform
import subprocess
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from cifar_tui.data.dataset import Dataset
from cifar_tui.runs.record import this_host
from cifar_tui.training.device import device_name

PACKAGES = ("cifar-tui", "torch", "numpy")


def describe_environment(dataset: Dataset, device: torch.device) -> dict[str, Any]:
    """Versions, host, device, command line, git commit and data set of a run."""
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {n: _version(n) for n in PACKAGES},
        "host": this_host(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "argv": sys.argv,
        "git": _git_commit(Path.cwd()),
        "dataset": {
            "source": dataset.source,
            "folder": str(dataset.folder.resolve()) if dataset.folder else None,
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit(folder: Path) -> str | None:
    """The commit checked out in `folder`, or None outside a repository."""
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
