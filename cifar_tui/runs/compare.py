"""Comparison of runs: the settings that differ and the figures beside each other."""

from collections.abc import Sequence
from typing import Any

from cifar_tui.runs.listing import Run, read_epochs
from cifar_tui.settings import SETTINGS


def differing(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Settings in force that are not the same in all runs: name -> one value per run, or None."""
    values = [run.spec.model_dump() if run.spec else {} for run in runs]
    found = {}
    for name, setting in SETTINGS.items():
        if name in ("name", "tags"):
            continue
        row = [v[name] if name in v and setting.applies(v) else None for v in values]
        if any(value != row[0] for value in row):
            found[name] = row
    return found


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """Runs beside each other, for programs: what differs, and each run's figures and epochs."""
    return {
        "settings": differing(runs),
        "runs": [run.to_dict() | {"epochs_log": read_epochs(run.path)} for run in runs],
    }
