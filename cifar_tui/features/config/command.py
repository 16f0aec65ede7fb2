"""The commands `config`, which show, explain and change the configuration file."""

import os
import shlex
import subprocess
from textwrap import wrap
from typing import Annotated, Any

from cyclopts import Parameter

from cifar_tui.config import Config, NamedView, read_config, set_entry
from cifar_tui.console import printing
from cifar_tui.console.flags import RUNS, AnyRuns, Json
from cifar_tui.console.help import examples
from cifar_tui.console.printing import output_width, put
from cifar_tui.errors import UserError
from cifar_tui.files import config_path
from cifar_tui.query.view import check_views, view_words
from cifar_tui.table import Table
from cifar_tui.text import plain

TEMPLATE = "# The configuration of cifar-tui; `cifar-tui config` explains each entry.\n\n"


@examples("config", "config --json")
def config_show(*, json: Json = False, runs: AnyRuns = RUNS) -> None:
    """Show the configuration: what each entry is, and what it is for."""
    found, path = read_config(), config_path()
    if json:
        printing.print_json({"file": str(path), **found.shown().model_dump()})
        return
    put(f"{path}{'' if path.exists() else ' (does not exist yet)'}", "")
    _check(found)
    shown = found.shown()
    for name, field in Config.model_fields.items():
        for line in (
            f"{name:<10} {_words(getattr(shown, name))}",
            f"{'':<10} {field.description}.",
        ):
            put(*wrap(line, output_width() or len(line), subsequent_indent=" " * 11))
    put(
        "", "`cifar-tui config set NAME VALUE` changes one, `cifar-tui config edit` opens the file."
    )


def _words(value: Any) -> str:
    """What an entry is, on one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, NamedView):
        return view_words(value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{plain(name)} {_words(part)}" for name, part in value.items()) or "-"
    return plain(str(value)) or "-"


@examples(
    "config set theme nord",
    "config set keys.history.trash delete,x",
    "config set views.best.filter 'val_acc>70'",
)
def config_set(
    name: Annotated[
        str, Parameter(help="An entry, like theme, keys.history.trash or views.best.sort.")
    ],
    value: Annotated[
        str,
        Parameter(help="What it is to be; '' takes the entry away.", allow_leading_hyphen=True),
    ],
    /,
    *,
    json: Json = False,
    runs: AnyRuns = RUNS,
) -> None:
    """Change one entry; the rest of the file stays as it is."""
    found = set_entry(name, value, check=_check)
    printing.say(found.shown().model_dump(), f"{name} is {value or 'as without it'}.", json)


@examples("config edit")
def config_edit(*, runs: AnyRuns = RUNS) -> None:
    """Open the file in $VISUAL or $EDITOR, and say what is wrong with it afterwards."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(TEMPLATE)
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        subprocess.run([*shlex.split(editor), str(path)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"'{editor}' failed ({error}); set EDITOR, or edit {path}.") from None
    _check(read_config())
    print(f"{path} is right.")


@examples("config keys", "config keys --json")
def config_keys(*, json: Json = False, runs: AnyRuns = RUNS) -> None:
    """List the actions whose keys can be changed, with the keys that they have now."""
    from cifar_tui.tui import keys

    keys.rebind(read_config().all_keys)
    if json:
        printing.print_json({key.name: key.keys for key in keys.KEYS})
        return
    rows = [(key.name, key.keys, key.help) for key in keys.KEYS]
    put(Table(["action", "keys", "what it does"], rows))


def _check(config: Config) -> None:
    from cifar_tui.tui.keys import rebind

    rebind(config.all_keys)
    check_views(config)


COMMANDS = {
    "config": config_show,
    "config set": config_set,
    "config edit": config_edit,
    "config keys": config_keys,
}
