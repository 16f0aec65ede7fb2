"""`python -m benchmarks.reference docs/reference.md` makes its tables of keys and settings anew."""

import sys
from pathlib import Path

from cifar_tui.spec.checks import GROUPS, format_value, settings_in
from cifar_tui.tui.keys import EVERYWHERE, KEYS, LISTS

PLACES = {
    "new": "New run",
    "live": "Live",
    "page": "A run's page",
    "history": "History",
    "compare": "Compare",
    "queue": "Queue",
    "lab": "Lab",
    "experiment": "Experiment",
    "weights": "Weights",
    "surface": "Surface",
    "mattered": "What mattered",
    "run": "One run",
    "images": "Images",
    LISTS: "any list",
    EVERYWHERE: "everywhere",
}


def settings_table() -> str:
    """Every setting as a Markdown table, in the order of declaration."""
    lines = ["| setting | flag | default | what it does | expected |", "|---|---|---|---|---|"]
    for group in GROUPS:
        lines.append(f"| **{group}** | | | | |")
        for setting in settings_in(group):
            flag = setting.flag
            if setting.is_bool:
                flag = f"{flag}/--no-{setting.flag[2:]}"
            default = format_value(setting.default) or "none"
            cells = (f"`{setting.name}`", f"`{flag}`", default, setting.help, setting.expected)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def keys_table() -> str:
    """Every key as a Markdown table."""
    lines = ["| where | key | what it does |", "|---|---|---|"]
    for key in KEYS:
        where = ", ".join(PLACES[place] for place in key.where.split(","))
        lines.append(f"| {where} | `{key.display}` | {key.help} |")
    return "\n".join(lines)


TABLES = {"settings": settings_table, "keys": keys_table}


def updated(text: str) -> str:
    """The text with each table between its two marker comments made anew."""
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}{make()}\n{end}{after}"
    return text


def main() -> None:
    """Rewrite the tables of the file named on the command line."""
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
