"""Which backends there are, and the one that `--devices` asks for."""

from pathlib import Path

from cifar_tui.errors import UserError
from cifar_tui.training.backend import Backend
from cifar_tui.training.worker import Worker


def make_backend(
    runs: Path, devices: str = "", *, together: bool = False
) -> tuple[Backend, list[str]]:
    """One thread in this process, or with devices a process for each; and what to tell of them.

    Raises UserError for a device that is not here.
    """
    if not devices:
        return Worker(together=together), []
    if together:
        raise UserError("--together trains on one device; leave out --devices.")
    from cifar_tui.training.pool import Pool
    from cifar_tui.training.slots import parse_slots

    slots, notes = parse_slots(devices)
    return Pool(runs, slots, devices), notes
