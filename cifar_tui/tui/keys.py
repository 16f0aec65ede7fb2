"""The one table of keys: footer, command palette and help screen are all made from it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from textual.binding import Binding, BindingType

from cifar_tui.errors import UserError


@dataclass(frozen=True)
class Key:
    """One action: its keys (the first is shown), where it works, and its words."""

    keys: str
    action: str
    label: str
    help: str
    where: str
    """One or more screens, with commas between them."""
    shown: bool = True

    def matches(self, words: Sequence[str]) -> bool:
        """Whether all of these lower-case words stand in its names, help and synonyms."""
        text = f"{self.display} {self.label} {self.help} {SYNONYMS.get(self.label, '')}".lower()
        return all(word in text for word in words)

    @property
    def name(self) -> str:
        """What the configuration calls the action, like `history.show_trash`."""
        return f"{self.where.partition(',')[0]}.{self.label.replace(' ', '_')}"

    @property
    def display(self) -> str:
        """The keys as a person reads them."""
        return " ".join(key_name(name) for name in self.keys.split(","))


NAMES = {
    "question_mark": "?",
    "slash": "/",
    "comma": ",",
    "full_stop": ".",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "left": "Left",
    "right": "Right",
    "asterisk": "*",
    "up": "Up",
    "down": "Down",
    "ctrl+p": "^P",
    "ctrl+u": "^U",
    "ctrl+d": "^D",
    "ctrl+o": "^O",
    "ctrl+s": "^S",
    "colon": ":",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "ctrl+home": "^Home",
    "ctrl+end": "^End",
}


def key_name(name: str) -> str:
    """A key as a person reads it."""
    return NAMES.get(name, name.upper() if _is_function_key(name) else name)


EVERYWHERE = "everywhere"
LISTS = "lists"
"""In every list whose rows have a cursor."""

KEYS: tuple[Key, ...] = (
    Key("f5,enter", "launch", "launch", "Start the run or grid, or queue it", "new"),
    Key("f7,y", "layers", "layers", "Show the model layer by layer", "new"),
    Key("f8,g", "get_data", "get CIFAR-10", "Download the real images (170 MB)", "new"),
    Key("v", "images", "images", "Look at the images, class by class", "new", False),
    Key("f9,r", "reset", "reset", "Set every field to its default; again brings it back", "new"),
    Key("ctrl+o,o", "presets", "presets", "Fill the form: own presets, last runs, labs", "new"),
    Key("ctrl+s,w", "save_preset", "save preset", "Keep these settings as a preset", "new", False),
    Key("enter", "open", "open", "Open the page of the run under the cursor", "live"),
    Key("p", "pause", "pause", "Pause the run, or let it or a held queue go on", "live,page"),
    Key("s", "stop", "stop", "Stop the run and hold the queue", "live,page"),
    Key("S", "skip", "skip", "Stop the run and go on with the next", "live,page"),
    Key("r", "resume", "resume", "Go on from the last whole epoch", "live,page"),
    Key("left_square_bracket", "watch_before", "before", "Look at the run before", "live", False),
    Key("right_square_bracket", "watch_next", "next run", "Look at the next run", "live"),
    Key("i", "info", "info", "Everything about the run, and where its net goes wrong", "live,page"),
    Key("e", "export", "export", "Write predictions.csv from the best checkpoint", "live,page"),
    Key("f", "new_from", "new from", "Fill the form with this run's settings", "live,page"),
    Key("w", "weights", "weights", "Histograms of the run's weights by layer", "live,page"),
    Key("left", "move(-1,0)", "left", "Go to the run on the left", "live", False),
    Key("right", "move(1,0)", "right", "Go to the run on the right", "live", False),
    Key("up,k", "move(0,-1)", "up", "Go to the run above, or to newer epochs", "live,page", False),
    Key(
        "down,j",
        "move(0,1)",
        "down",
        "Go to the run below, or to older epochs",
        "live,page",
        False,
    ),
    Key("escape", "follow", "back", "Back to what trains", "live"),
    Key("escape", "app.back", "back", "Back to where you came from", "page"),
    Key("enter", "open", "open", "Open the run's curves and epochs", "history"),
    Key(
        "slash", "filter", "filter", "Show only some runs: words, lr>=0.05, bn, -tag:bad", "history"
    ),
    Key("o", "sort", "sort", "Sort by the next column", "history"),
    Key("O", "reverse", "reverse", "Turn the order round", "history", False),
    Key("C", "columns", "columns", "Choose and order the columns", "history", False),
    Key("F", "views", "views", "Show one of the configuration's named views", "history", False),
    Key("m", "last", "best or last", "Figures of the best or the last epoch", "history", False),
    Key("u", "group", "group", "Group by settings: mean and spread over seeds", "history"),
    Key("space", "mark", "mark", "Mark the run for comparison", "history"),
    Key("asterisk", "mark_all", "mark all", "Mark all runs shown, or none", "history", False),
    Key("V", "mark_range", "mark up to here", "Mark from the last mark to here", "history", False),
    Key("U", "unmark", "unmark", "Take all marks away", "history", False),
    Key("c", "compare", "compare", "Lay the marked runs over each other", "history"),
    Key(
        "w", "weights", "weights", "Histograms of the weights of the marked runs", "history", False
    ),
    Key("v", "surface", "surface", "Loss surfaces of the marked runs", "history", False),
    Key("e", "export", "export", "Write predictions.csv from the best checkpoint", "history"),
    Key("f", "new_from", "new from", "Fill the form with this run's settings", "history", False),
    Key("a", "annotate", "name", "Rename, tag or annotate the run", "history"),
    Key("r", "resume", "resume", "Go on from the last whole epochs", "history"),
    Key("R", "resume_left", "resume left", "Train all runs left in a dead queue", "history", False),
    Key("less_than_sign", "sooner", "sooner", "Move a queued run forwards", "history", False),
    Key("greater_than_sign", "later", "later", "Move a queued run backwards", "history", False),
    Key("x", "trash", "trash", "Move the runs to the trash", "history"),
    Key("t", "show_trash", "show trash", "Show the trash, or the runs again", "history", False),
    Key("z", "restore", "restore", "Move the run back from the trash", "history", False),
    Key(
        "I", "import", "import", "Bring in a notebook's checkpoint or an archive", "history", False
    ),
    Key("p", "pin", "pin", "Pin the runs (p, P when marked), or unpin", "history", False),
    Key("D", "keep_best", "keep best", "Keep only best.pt of the runs", "history", False),
    Key("A", "archive", "archive", "Write the runs into one file", "history", False),
    Key("X", "empty_trash", "empty trash", "Empty the trash while it is shown", "history", False),
    Key("E", "ensemble", "ensemble", "Export the marked runs' ensemble", "history", False),
    Key("equals_sign", "agree", "agree", "How far two runs' predictions agree", "history", False),
    Key("y", "save", "save", "Save and copy the marked runs, or those shown", "history", False),
    Key("i", "info", "info", "Everything about the run", "history"),
    Key("W", "mattered", "what mattered", "Effect of each setting on the runs", "history"),
    Key("enter", "open", "open", "Open the page of the run", "queue"),
    Key("less_than_sign", "sooner", "sooner", "Move the run forwards", "queue"),
    Key("greater_than_sign", "later", "later", "Move the run backwards", "queue"),
    Key("s", "stop", "take out", "Take the run out of the queue; it is kept as stopped", "queue"),
    Key("X", "empty", "empty", "Stop all runs that wait; what trains goes on", "queue"),
    Key("p", "pause", "hold", "Hold the queue after the run in training, or go on", "queue"),
    Key("r", "resume", "resume", "Train a run that a program has left which has ended", "queue"),
    Key("escape,Q", "app.back", "back", "Back to where you came from", "queue"),
    Key("m", "metric", "metric", "Show the next metric", "compare"),
    Key("y", "save", "save", "Save and copy the runs: table, curves or figure", "compare", False),
    Key("M", "metric(-1)", "metric before", "Show the metric before", "compare", False),
    Key("x", "axis", "axis", "Show it over epochs, steps or time", "compare"),
    Key("s", "smooth", "smooth", "Smooth the curves more, then not at all", "compare"),
    Key("S", "smooth(-1)", "smooth less", "Smooth the curves less", "compare", False),
    Key("L", "log", "log", "Have a logarithmic y axis, or a linear one again", "compare"),
    Key(
        "u", "group", "group", "Mean and std of runs equal but for the seed; min to max", "compare"
    ),
    Key("p", "baseline", "baseline", "Set all figures beside this row's, or not", "compare"),
    Key("space", "hide", "hide", "Leave out this row's curve, or draw it again", "compare"),
    Key("comma", "cursor(-1)", "cursor", "Move the cursor that reads values left", "compare"),
    Key("full_stop", "cursor(1)", "cursor right", "Move the cursor right", "compare", False),
    Key("less_than_sign", "cursor(-10)", "far left", "Cursor left by a tenth", "compare", False),
    Key(
        "greater_than_sign", "cursor(10)", "far right", "Cursor right by a tenth", "compare", False
    ),
    Key("plus,equals_sign", "zoom(0.5)", "zoom", "Zoom in along x, about the cursor", "compare"),
    Key("minus", "zoom(2)", "zoom out", "Zoom out along x", "compare", False),
    Key("left_square_bracket", "pan(-0.25)", "pan", "Move left along x", "compare"),
    Key("right_square_bracket", "pan(0.25)", "pan right", "Move right along x", "compare", False),
    Key("0", "whole", "all", "Show all of x again, without the cursor", "compare"),
    Key("escape,c", "app.back", "back", "Back to where you came from", "compare"),
    Key("enter", "open", "open", "Open the experiment: runs, curves, verdict", "lab"),
    Key("f5", "launch", "launch", "Train the runs that the experiment lacks", "lab"),
    Key("A", "launch_all", "launch all", "Train the runs that all experiments lack", "lab"),
    Key("s", "scale", "scale", "Choose seeds, epochs, images and precision", "lab"),
    Key("f5,enter", "launch", "launch", "Train the runs that are missing", "experiment"),
    Key("s", "scale", "scale", "Choose seeds, epochs, images and precision", "experiment"),
    Key("o", "open", "open run", "Watch the latest run of this setting", "experiment"),
    Key("c", "compare", "compare", "Lay the experiment's runs over each other", "experiment"),
    Key("m", "metric", "metric", "Show the next metric", "experiment"),
    Key("y", "layers", "layers", "Show this setting's model layer by layer", "experiment"),
    Key("w", "weights", "weights", "Histograms of each setting's weights", "experiment"),
    Key("v", "surface", "surface", "Loss surface of each setting", "experiment"),
    Key("escape", "app.back", "back", "Back to the list of experiments", "experiment"),
    Key("left_square_bracket", "layer_before", "before", "Show the layer before", "weights"),
    Key("right_square_bracket", "layer_next", "next layer", "Show the next layer", "weights"),
    Key("m", "figures", "figures", "Show mean and std, or the shares again", "weights"),
    Key("escape,w", "app.back", "back", "Back to where it was opened", "weights"),
    Key("r", "redo", "again", "Compute the slices again", "surface"),
    Key("escape,v", "app.back", "back", "Back to History; ends the computation", "surface"),
    Key("p", "lines", "lines", "Draw runs as lines over axes, or the table again", "mattered"),
    Key("m", "metric", "metric", "Ask about the next figure", "mattered"),
    Key("i", "images", "images", "Show the runs on other images", "mattered"),
    Key("space", "keep", "keep", "Only runs like this one on the axis (left, right)", "mattered"),
    Key("u", "keep_all", "all", "Draw all runs again", "mattered", False),
    Key("enter", "open", "open", "Open the curves and epochs of the run drawn solid", "mattered"),
    Key("escape,W", "app.back", "back", "Back to History", "mattered"),
    Key("tab", "page_next", "next page", "Turn to the next page", "run"),
    Key("shift+tab", "page_before", "before", "Turn to the page before", "run", False),
    Key("1", "page(0)", "settings", "Settings, environment, git and data", "run", False),
    Key("2", "page(1)", "events", "Starts, resumes, checkpoints and the end", "run", False),
    Key("3", "page(2)", "files", "The run's files and what they take", "run", False),
    Key("4", "page(3)", "confusion", "Which classes are taken for which others", "run", False),
    Key("5", "page(4)", "classes", "Accuracy per class, and calibration", "run", False),
    Key("6", "page(5)", "worst images", "The images it gets most wrong", "run", False),
    Key("left", "move(0,-1)", "left", "One cell to the left, or the images before", "run", False),
    Key("right", "move(0,1)", "right", "One cell to the right, or the next images", "run", False),
    Key("up", "move(-1,0)", "up", "One cell up", "run", False),
    Key("down", "move(1,0)", "down", "One cell down", "run", False),
    Key("enter", "images", "images", "Show the images of the matrix' cell", "run"),
    Key("m", "shares", "percent", "Show the matrix in percent, or in counts", "run"),
    Key("s", "split", "split", "Evaluate on the next split: val, train, test", "run"),
    Key("r", "redo", "again", "Evaluate again, as after a better epoch", "run"),
    Key("escape,i", "app.back", "back", "Back to where it was opened; ends the work", "run"),
    Key("right", "turn(1)", "next page", "Turn to the next images", "images"),
    Key("left", "turn(-1)", "before", "Turn to the images before", "images"),
    Key("down,j", "pick(1)", "next class", "Show the next class, or all", "images"),
    Key("up,k", "pick(-1)", "class before", "Show the class before, or all", "images"),
    Key("s", "split", "split", "Show the next split: train, val, test", "images"),
    Key("escape,v", "app.back", "back", "Back to the form", "images"),
    Key("up,k", "move(-1)", "up", "Go up a row", LISTS, False),
    Key("down,j", "move(1)", "down", "Go down a row", LISTS, False),
    Key("pageup,ctrl+u", "page(-1)", "page up", "Go up a page", LISTS, False),
    Key("pagedown,ctrl+d", "page(1)", "page down", "Go down a page", LISTS, False),
    Key("home,ctrl+home,g", "first", "first", "Go to the first row", LISTS, False),
    Key("end,ctrl+end,G", "last", "last", "Go to the last row", LISTS, False),
    Key("n,f2", "app.go('new')", "new", "Set up a new run", EVERYWHERE, False),
    Key("l,f3", "app.go('live')", "live", "Watch training", EVERYWHERE, False),
    Key("h,f4", "app.go('history')", "history", "See and compare all runs", EVERYWHERE, False),
    Key("b,f12", "app.go('lab')", "lab", "The assignment's experiments", EVERYWHERE, False),
    Key("d,f6", "app.go('devices')", "devices", "See GPUs and processes", EVERYWHERE, False),
    Key("escape", "app.back", "back", "Go back one step; nothing is lost", EVERYWHERE, False),
    Key("Q", "app.queue", "queue", "List, reorder or empty what waits", EVERYWHERE, False),
    Key("B,f11", "app.backend", "backend", "Choose what trains the runs", EVERYWHERE, False),
    Key("question_mark,f1", "app.help", "help", "Show all keys", EVERYWHERE),
    Key("ctrl+p", "app.command_palette", "palette", "Find any action by name", EVERYWHERE, False),
    Key("q,f10", "app.quit", "quit", "Leave the program", EVERYWHERE),
)


KEY = re.compile(r"((ctrl|shift|alt)\+)*[A-Za-z0-9_]+")


GROUPS = {
    "look": "open info columns last group lines images weights surface mattered layers panels "
    "metric axis smooth log cursor zoom pan whole figures shares split page move page_next",
    "find": "filter views sort reverse show_trash",
    "choose": "mark unmark keep keep_all hide baseline",
    "compare and hand in": "compare agree export ensemble save",
    "train": "launch launch_all presets save_preset reset get_data scale new_from pause stop skip "
    "resume resume_left sooner later",
    "tidy": "annotate pin trash restore keep_best archive import empty_trash",
}
"""Headings of the help for the actions below them."""
SYNONYMS = {
    "trash": "delete remove rm",
    "empty trash": "delete remove for good free space",
    "launch": "start train run grid go begin",
    "new from": "clone copy rerun again repeat",
    "what mattered": "statistics effects importance",
    "export": "predictions.csv submit hand in kaggle",
    "name": "rename tag note annotate comment",
    "theme": "light dark colours colors appearance",
    "palette": "commands search actions",
    "devices": "gpu cuda nvidia-smi memory processes",
    "lab": "assignment experiments course",
    "resume": "continue go on restart",
    "stop": "cancel kill abort end",
    "mark": "select tick",
    "group": "aggregate seeds mean std average",
    "filter": "search find query",
    "leave": "quit exit close",
    "quit": "exit leave close",
    "presets": "templates defaults load",
    "images": "pictures look at the data set samples classes",
    "backend": "slurm ray cluster several gpus parallel",
    "surface": "loss landscape",
    "weights": "histogram distribution",
    "get CIFAR-10": "download images data dataset",
}
"""What others call an action, by its label."""


def grouped(where: str) -> dict[str, list[Key]]:
    """The keys of a screen by what they are for, a heading each; the rest under none."""
    headings = {action: title for title, names in GROUPS.items() for action in names.split()}
    found: dict[str, list[Key]] = {title: [] for title in (*GROUPS, "")}
    for key in keys_for(where):
        found[headings.get(key.action.partition("(")[0], "")].append(key)
    several = sum(map(bool, found.values())) > 2 and len(keys_for(where)) > 8
    return found if several else {"": keys_for(where)}


def rebind(changes: Mapping[str, str]) -> None:
    """Give actions other keys, by name, before the screens that have them are imported.

    Raises UserError for an action that does not exist, no key, or one that two actions would have.
    """
    global KEYS
    known = {key.name: key for key in KEYS}
    for name, text in changes.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`cifar-tui config keys` lists them."
            raise UserError(f"There is no action '{name}'; {hint}")
        keys = [_key_of(word.strip()) for word in text.split(",")]
        wrong = [word for word in keys if not KEY.fullmatch(word)]
        if wrong:
            raise UserError(
                f"'{wrong[0]}' is no key for {name}; write keys like x, f5, ctrl+o, delete, slash."
            )
        known[name] = replace(known[name], keys=",".join(keys))
    for name in changes:
        for other, key in known.items():
            both = set(key.keys.split(",")) & set(known[name].keys.split(","))
            screens = set(key.where.split(",")) & set(known[name].where.split(","))
            if both and other != name and screens:
                raise UserError(f"{name} and {other} would both have the key {both.pop()}.")
    KEYS = tuple(known.values())


def _key_of(word: str) -> str:
    """The key's name, for a sign like / as well."""
    return next((name for name, shown in NAMES.items() if shown == word), word)


CHANGES = frozenset(
    (
        *("launch", "launch_all", "get_data", "backend", "pause", "stop", "skip"),
        *("resume", "resume_left", "sooner", "later", "import", "annotate", "pin"),
        *("trash", "restore", "empty_trash", "keep_best", "empty"),
    )
)
"""Actions that change runs or the queue, which a program that only looks refuses."""


def keys_for(where: str) -> list[Key]:
    """The keys of one screen, in order."""
    return [key for key in KEYS if where in key.where.split(",")]


def bindings(where: str) -> list[BindingType]:
    """The same as Textual's bindings; only an action's first key is shown in the footer."""
    return [b for key in keys_for(where) for b in _bindings_of(key, key.keys.split(",")[0])]


def function_keys(where: str) -> list[BindingType]:
    """The same with function keys shown, for a screen whose text fields take the letters."""
    found: list[BindingType] = []
    for key in keys_for(where):
        shown = next((k for k in key.keys.split(",") if _is_function_key(k)), None)
        if shown:
            found += [b for b in _bindings_of(key, shown) if _is_function_key(b.key)]
    return found


def _is_function_key(name: str) -> bool:
    return name[0] == "f" and name[1:].isdigit()


def _bindings_of(key: Key, shown: str) -> list[Binding]:
    return [
        Binding(
            name,
            key.action,
            key.label,
            show=key.shown and name == shown,
            key_display=key_name(name),
            tooltip=key.help,
        )
        for name in key.keys.split(",")
    ]
