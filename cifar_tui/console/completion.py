"""What a shell completes: the words that a flag or an argument can stand for here and now.

Nothing here is in use unless Tab is pressed; a word that cannot be found is simply not offered.
"""

import contextlib
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cifar_tui.files import MAX_RECORD_BYTES, config_path, read_json
from cifar_tui.runs.ids import RUNS, TRASH, ids_in
from cifar_tui.text import accuracy, plain

Shell = Literal["bash", "zsh", "fish"]

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.completion import CompletionContext

    Words = Iterable[str | tuple[str, str]]
    """Words to offer, some with what they mean."""
    Completer = Callable[[CompletionContext], Words]

DESCRIBED = 200
"""How many of the newest runs are read; of those before only the ids are known."""
GPUS = Path("/dev")
ADJUSTED = {
    "bash": (
        '[[ "$_x" == "${cur}"* ]] && { printf -v _q \'%q\' "$_x"; COMPREPLY+=("$_q"); }',
        'printf -v _q \'%q\' "$_x"; [[ "$_x" == "${cur}"* || "$_q" == "${cur}"* ]] && '
        'COMPREPLY+=("$_q")',
    ),
    "zsh": ("compadd -d _cyc_disp", "compadd -V newest -d _cyc_disp"),
    "fish": ("-a '(__fish_cifar-tui_complete)'", "-k -a '(__fish_cifar-tui_complete)'"),
}
"""In the script of each shell: what keeps the newest run first, and completes names with spaces."""
ENDS = {
    "bash": "complete -o nosort -F _cifar_tui cifar-tui 2>/dev/null || true\n",
    "zsh": 'if [[ "$funcstack[1]" == _cifar-tui ]]; then _cyclopts_cifar-tui "$@"\n'
    "else compdef _cyclopts_cifar-tui cifar-tui\nfi\n",
    "fish": "",
}
"""What comes after it: bash before 4.4 sorts the words; zsh calls a file `_cifar-tui` by itself."""


def completion_script(app: "App", shell: Shell) -> str:
    """The script with which a shell completes what the commands of `app` take."""
    script = app.generate_completion(shell=shell).replace(*ADJUSTED[shell])
    return f"{script}\n{ENDS[shell]}"


def one_of(words: "Words") -> "Completer":
    """Offers these words."""
    found = list(words)
    return lambda context: found


def several_of(words: Iterable[str], separator: str = ",") -> "Completer":
    """Offers these words, each once, after those that stand there already."""
    known = list(words)

    def complete(context: "CompletionContext") -> "Words":
        typed = context.incomplete.replace("\\", "")  # bash gives words as they are quoted
        before, comma, _ = typed.rpartition(separator)
        taken = before.split(separator)
        return [f"{before}{comma}{word}" for word in known if word not in taken]

    return complete


def runs_known(context: "CompletionContext") -> "Words":
    """`best`, `last`, and the runs of --runs, newest first; by name once something is typed."""
    return run_words(_runs_of(context), context.incomplete)


def runs_in_trash(context: "CompletionContext") -> "Words":
    """The same of the runs in the trash."""
    return run_words(_runs_of(context), context.incomplete, TRASH)


def _runs_of(context: "CompletionContext") -> Path:
    given = context.get("--runs")
    return Path(given.raw) if given and given.raw else _usual_runs()


def _usual_runs() -> Path:
    """The folder with the runs where none is named; read here, as the configuration's own reader
    takes longer."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return Path(str(tomllib.loads(config_path().read_text())["runs"])).expanduser()
    return RUNS


def views_known(context: "CompletionContext") -> "Words":
    """The names of the configuration's views."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return list(tomllib.loads(config_path().read_text())["views"])
    return []


def folders_with_images(context: "CompletionContext") -> "Words":
    """`demo` and the folders that begin as was typed."""
    head, slash, _ = context.incomplete.rpartition("/")
    inside = Path(head + slash or ".").expanduser()
    names = sorted(path.name for path in inside.iterdir() if path.is_dir())
    shown = [f"{head}{slash}{name}" for name in names if not name.startswith(".")]
    return [("demo", "the synthetic demo set"), *shown]


def devices_here(context: "CompletionContext") -> "Words":
    """What --device can be on this machine."""
    return ["auto", "cpu", *_gpus()]


def device_lists_here(context: "CompletionContext") -> "Words":
    """What --devices can be on this machine."""
    return several_of([*_gpus(), "all", "cpu", "cpu:2"])(context)


def _gpus() -> list[str]:
    found = (path.name.removeprefix("nvidia") for path in GPUS.glob("nvidia[0-9]*"))
    return [f"cuda:{number}" for number in sorted(int(n) for n in found if n.isdecimal())]


def run_words(folder: Path, typed: str, inside: str = "") -> list[tuple[str, str]]:
    """The ids of runs with what is known of the newest; names that mean one of these, if typed."""
    ids = ids_in(folder / inside)[::-1]
    newest = {run_id: _name_and_best(folder / inside / run_id) for run_id in ids[:DESCRIBED]}
    words = [] if inside else [("best", "the highest val_acc"), ("last", "the newest run")]
    words += [(run_id, "  ".join(filter(None, newest.get(run_id, ())))) for run_id in ids]
    if typed:
        count = Counter(name for name, _ in newest.values())
        words += [(name, run_id) for run_id, (name, _) in newest.items() if count[name] == 1]
    return words


def _name_and_best(run: Path) -> tuple[str, str]:
    """The name of a run and its best val_acc; read here, as a run's own reader takes longer."""
    found: list[dict[str, Any]] = []
    for file in ("notes.json", "summary.json"):
        try:
            found.append(read_json(run / file, MAX_RECORD_BYTES))
        except (OSError, ValueError):
            found.append({})
    notes, summary = found
    best = summary.get("best")
    known = accuracy(best.get("val_acc")) if isinstance(best, dict) else ""
    return plain(str(notes.get("name") or summary.get("name") or run.name)), known


def means_a_run(words: Sequence[str]) -> bool:
    """Whether the last word is sure to be a run, so that no command's flags need to be known."""
    before, typed = words[-2:-1], words[-1:]
    is_value = before and (before[0].startswith("-") or before[0] == "=")
    return bool(typed) and not typed[0].startswith("-") and not is_value


def print_run_words(words: Sequence[str]) -> None:
    """Print the runs that the last word may become, as completion scripts read them."""
    folder = _usual_runs()
    given = [part for word in words[:-1] for part in word.split("=", 1) if part]
    for option, value in pairwise(given):  # bash gives --runs=R in three words
        if option == "--runs":
            folder = Path(value)
    print("\n\x1fbegin")
    with contextlib.suppress(OSError):
        for word, help in run_words(folder.expanduser(), words[-1], TRASH * ("restore" in words)):
            print(f"{word}\t{help}")
