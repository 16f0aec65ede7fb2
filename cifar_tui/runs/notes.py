"""What the user says of a run: read from its notes.json, and changed there beside others."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cifar_tui.errors import UserError
from cifar_tui.files import MAX_RECORD_BYTES, read_json, sweep, write_json
from cifar_tui.locks import changing
from cifar_tui.runs.record import Notes
from cifar_tui.spec.checks import make_spec

FILE = "notes.json"


def read_notes(run: Path) -> Notes:
    """The user's notes; none when there are none or they are damaged."""
    try:
        return Notes.model_validate(read_json(f"{run}/{FILE}", MAX_RECORD_BYTES))
    except (OSError, ValueError):
        return Notes()


def annotate(run: Path, **changes: Any) -> None:
    """Change the user's name, tags, note or pin of a run, and nothing else that is in its notes.

    Two that change one run at the same time lose nothing of each other's. Raises UserError, also
    for notes that cannot be read, which are left as they are.
    """
    path = run / FILE
    try:
        with changing(run):
            known = _known(path)
            sweep(path)
            write_json(path, {**Notes().model_dump(mode="json"), **known, **changes})
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from None


def _known(path: Path) -> dict[str, Any]:
    """What the file holds, also what only a later version knows; raises UserError, OSError."""
    try:
        found = read_json(path, MAX_RECORD_BYTES)
        Notes.model_validate(found)
        return found
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        wrong = f"has a wrong value for {error.errors()[0]['loc'][0]}"
    except ValueError:
        wrong = "is damaged"
    raise UserError(f"{path} {wrong}; mend it or remove it, then change the notes again.")


def clean_notes(
    name: str | None = None, tags: str | None = None, note: str | None = None
) -> dict[str, Any]:
    """What to change in the notes, from texts as typed; None is left alone; raises UserError."""
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = make_spec({"name": name}).name
    if tags is not None:
        changes["tags"] = make_spec({"tags": tags}).tags
    if note is not None:
        if not note.isprintable():
            raise UserError("note must be one line of printable characters.")
        changes["note"] = note.strip()
    return changes
