"""What README and docs name is there: the files they link to, and the commands they show."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_tui.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
BLOCK = re.compile(r"^```(?:bash)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """The commands in a page's blocks of code, without comments and where their output goes."""
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            for part in re.split(r"\s+#\s| \| | > |; |&& ", line):
                if re.match(r"\s*cifar-tui( |$)", part):
                    yield part.strip().removeprefix("cifar-tui")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    for command in commands(page):
        arguments = shlex.split(command.replace("[", "").replace("]", ""))
        app.parse_args(arguments, exit_on_error=False, print_error=False)


def test_the_pages_show_commands() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 60
