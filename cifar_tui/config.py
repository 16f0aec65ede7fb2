"""The configuration file `$XDG_CONFIG_HOME/cifar-tui/config.toml`, and each entry's explanation."""

import json
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cifar_tui.errors import UserError
from cifar_tui.files import check_output, config_path, write_output
from cifar_tui.spec.naming import read_toml
from cifar_tui.text import plain

TABLE = re.compile(r"\s*\[")
BARE = re.compile(r"[A-Za-z0-9_-]+")
"""What TOML takes as a name without quotes."""


class NamedView(BaseModel):
    """What a view of History shows, each as `runs list` takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filter: str = ""
    sort: str = ""
    """A field, with a minus largest first."""
    columns: str = ""
    """Fields with commas between them."""


Folder = Annotated[str, AfterValidator(os.path.expanduser)]


class Config(BaseModel):
    """What the file may hold; an entry that it lacks has its default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    theme: str = Field(
        default="",
        description="Colours of the app, kept when one is chosen there; ansi-dark and ansi-light "
        "are the terminal's own",
    )
    runs: Folder = Field(default="", description="Folder with the runs where --runs names none")
    data: Folder = Field(default="", description="Folder with the images where --data names none")
    read_only: bool = Field(
        default=False, description="Whether the app only looks, as at somebody else's runs"
    )
    vim: bool = Field(
        default=False, description="Whether : opens the palette; j, k, g, G always move"
    )
    columns: str = Field(
        default="",
        description="Columns that History shows until others are chosen, like "
        "name,settings,val_acc,status; `runs fields` lists all",
    )
    bell: bool = Field(
        default=True, description="Whether the bell rings when a queue ends or a run goes wrong"
    )
    desktop: bool = Field(
        default=True, description="Whether the desktop is asked for a notification then"
    )
    on_end: str = Field(
        default="", description="Shell command that is told the same where --on-end names none"
    )
    webhook: str = Field(
        default="",
        pattern="^(https?://[^/].*)?$",
        description="URL, kept secret, that is told the same where --webhook names none",
    )
    views: dict[str, NamedView] = Field(
        default={},
        description="Views by name, with filter, sort and columns as `runs list` takes them; "
        "F in History and `runs list --view NAME` show one",
    )
    keys: dict[str, str] = Field(
        default={},
        description='Keys of actions, like "history.trash" = "x,delete"; `config keys` lists all',
    )

    def shown(self) -> "Config":
        """The same without the rest of the webhook's URL, which may be a secret."""
        host = urlsplit(self.webhook).hostname
        return self.model_copy(update={"webhook": f"https://{host}/..."} if host else {})

    @property
    def all_keys(self) -> dict[str, str]:
        """The keys that differ from the program's own."""
        return {"everywhere.palette": "ctrl+p,colon"} | self.keys if self.vim else self.keys


def read_config() -> Config:
    """What the file says; raises UserError for an entry that is wrong or not known."""
    path = config_path()
    return _checked(read_toml(path), path) if path.exists() else Config()


def _checked(values: dict[str, Any], path: Path) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        known = ", ".join((Config if len(first["loc"]) == 1 else NamedView).model_fields)
        why = {
            "extra_forbidden": f"is not known there; there are {known}",
            "bool_type": "must be true or false",
            "bool_parsing": "must be true or false",
            "string_type": "must be a text in quotes",
            "dict_type": "must be a table",
            "model_type": "must be a table",
            "string_pattern_mismatch": "must begin with https:// or http://",
        }.get(first["type"], first["msg"].lower())
        raise UserError(f"{path}: {plain(name)} {why}.") from None


def set_entry(
    name: str, text: str, check: Callable[[Config], object] = lambda config: None
) -> Config:
    """Write one entry, given as on a command line, and leave the rest of the file as it is.

    An empty text takes the entry away. Raises UserError for what is wrong or cannot be written, as
    `check` may.
    """
    path = config_path()
    table, key = _place(name)
    value: Any = {"true": True, "false": False}.get(text, text)
    lines = path.read_text().splitlines() if path.exists() else []
    entry = [] if text == "" else tomli_w.dumps({key: value}).splitlines()
    content = "\n".join(_replaced(lines, table, key, entry))
    try:
        found = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not a TOML file: {error}; mend it by hand.") from None
    config = _checked(found, path)
    check(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    check_output(path, overwrite=True, example="config.toml")
    write_output(path, f"{content.strip()}\n".encode())
    if config.webhook:
        path.chmod(0o600)
    return config


def _place(name: str) -> tuple[str, str]:
    """The table of an entry and its key in it: an action's name is one key, with its dot."""
    if name.startswith("keys."):
        return "keys", name.removeprefix("keys.")
    head, _, key = name.rpartition(".")
    if not head.startswith("views."):
        return "", name
    view = head.removeprefix("views.")
    return f"views.{view if BARE.fullmatch(view) else json.dumps(view)}", key


def _replaced(lines: list[str], table: str, key: str, entry: list[str]) -> list[str]:
    """The lines with this entry in place of the old one, at the end of its table where there is
    none."""
    starts = [i for i, line in enumerate(lines) if TABLE.match(line)] + [len(lines)]
    if table:
        heads = [i for i in starts[:-1] if lines[i].strip() == f"[{table}]"]
        if not heads:
            return [*lines, "", f"[{table}]", *entry] if entry else lines
        begin = heads[0] + 1
    else:
        begin = 0
    end = next(start for start in starts if start >= begin)
    quoted = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
    kept = [line for line in lines[begin:end] if not quoted.match(line)]
    while kept and not kept[-1].strip():
        kept.pop()
    if table and not (kept or entry):
        return [*lines[: begin - 1], *lines[end:]]
    blank = [""] if end < len(lines) else []
    return [*lines[:begin], *kept, *entry, *blank, *lines[end:]]
