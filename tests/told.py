"""Events as whatever wrote a run's folder told them."""

from typing import Any

from cifar_tui.files import dump_json, finite
from cifar_tui.runs.folder import RunFolder


def tell(folder: RunFolder, event: dict[str, Any], *, durable: bool = False) -> None:
    """Append an event as it is, sound or not."""
    folder.append_lines(dump_json(finite(event)), durable=durable)
