"""What each part of the program makes of a setting that is declared and named nowhere else.

`test_roles.py` runs these in a process of their own, with this module as a plugin.
"""

import importlib.util
import sys
from pathlib import Path

NAME = "cifar_tui.spec.settings"
DECLARED = """
    blur: float = _setting(0.5, "Data", "Blur", "How far images are blurred", ge=0, le=9)
    turns: int = _setting(1, "Training", "Turns", "Tells runs apart", role="repeat", ge=0, le=9)
    rack: str = _setting("a", "Training", "Rack", "Its place", role="where", pattern="^[a-z]$")
"""


def declare() -> None:
    """Import the settings with three more, before anything else of the program is imported."""
    found = importlib.util.find_spec(NAME)
    assert found is not None and found.origin is not None
    source = Path(found.origin).read_text()
    before, mark, after = source.partition("\n    name: str = _setting(")
    assert mark
    module = importlib.util.module_from_spec(found)
    sys.modules[NAME] = module
    exec(compile(before + DECLARED + mark + after, found.origin, "exec"), module.__dict__)


if NAME not in sys.modules:
    declare()

from benchmarks.reference import settings_table  # noqa: E402
from cifar_tui.console.flags import SpecFlags  # noqa: E402
from cifar_tui.features.compare.core import compare, entries  # noqa: E402
from cifar_tui.features.effects.study import studies  # noqa: E402
from cifar_tui.features.history.dialog import GroupsDialog  # noqa: E402
from cifar_tui.features.history.rows import format_of  # noqa: E402
from cifar_tui.features.labs.answer import Book  # noqa: E402
from cifar_tui.features.labs.assignment import BY_NAME  # noqa: E402
from cifar_tui.features.labs.experiments import Scale  # noqa: E402
from cifar_tui.features.labs.images import ImageSet  # noqa: E402
from cifar_tui.features.labs.report import markdown  # noqa: E402
from cifar_tui.features.new_run.screen import NewScreen  # noqa: E402
from cifar_tui.query.fields import FIELDS, Line, varying  # noqa: E402
from cifar_tui.query.groups import find_groups, group_runs  # noqa: E402
from cifar_tui.query.view import View  # noqa: E402
from cifar_tui.runs.folder import RunFolder  # noqa: E402
from cifar_tui.runs.listing import Run, read_run  # noqa: E402
from cifar_tui.spec.checks import changed, make_spec  # noqa: E402
from cifar_tui.spec.grid import make_grid  # noqa: E402
from cifar_tui.spec.settings import RunSpec  # noqa: E402
from tests.apps import MakeApp, SaveRun  # noqa: E402


def saved(save_run: SaveRun) -> list[Run]:
    """Two repetitions of each of two values, the second one on another rack."""
    return [
        read_run(save_run((acc + 0.001 * turns,), blur=blur, turns=turns, rack=rack).path)
        for blur, acc in ((0.5, 0.6), (2.0, 0.7))
        for turns, rack in ((1, "a"), (2, "b"))
    ]


async def test_the_form(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("n")
        await pilot.pause()
        assert isinstance(app.screen, NewScreen)
        assert app.screen.texts()["blur"] == "0.5"


def test_the_flag_the_file_and_the_grid(tmp_path: Path) -> None:
    assert SpecFlags(blur="1").blur == "1"
    folder = RunFolder.create(tmp_path, make_spec({"blur": "1"}))
    assert vars(folder.spec())["blur"] == 1
    assert [spec.name for spec in make_grid({"blur": "1,2"})] == [
        "simplenn blur 1",
        "simplenn blur 2",
    ]
    assert "| `blur` | `--blur` | 0.5 | How far images are blurred |" in settings_table()


def test_the_table_of_runs(save_run: SaveRun) -> None:
    runs = saved(save_run)
    assert format_of(FIELDS["blur"]).header == "blur"
    assert [FIELDS["blur"].text(run) for run in runs] == ["0.5", "0.5", "2", "2"]
    assert changed(runs[2].spec or RunSpec()) == {"epochs": 1, "blur": 2.0}


async def test_the_groups(save_run: SaveRun, make_app: MakeApp) -> None:
    runs = saved(save_run)
    lines = [Line(run) for run in runs]
    assert [field.name for field in varying(runs)] == ["blur", "turns"]
    groups = group_runs(lines, find_groups(["blur"]), FIELDS["val_acc"])
    assert [(group.title, group.n) for group in groups] == [("blur 2", 2), ("blur 0.5", 2)]
    app = make_app()
    async with app.run_test() as pilot:
        dialog = GroupsDialog(varying(runs), lines, View())
        app.push_screen(dialog)
        await pilot.pause()
        assert dialog.chosen() == ("blur",), "repetitions belong together"


def test_the_comparison(save_run: SaveRun) -> None:
    runs = saved(save_run)
    assert list(compare(runs)["settings"]) == ["blur", "turns", "rack"]
    assert [len(entry.runs) for entry in entries(runs, grouped=True)] == [2, 2]


def test_the_statistics(save_run: SaveRun) -> None:
    (study,) = studies(saved(save_run))
    assert [effect.setting.name for effect in study.effects] == ["blur"]
    assert len(study.runs) == 4, "a repetition is no copy"


def test_the_labs(save_run: SaveRun) -> None:
    lab, scale = BY_NAME["lab1-baseline"], Scale(epochs=1)
    spec = lab.arms[0].spec(lab.name, scale, 0)
    kept = [
        read_run(save_run((acc,), **{**vars(spec), "blur": blur, "rack": rack}).path)
        for acc, blur, rack in ((0.4, 0.5, "b"), (0.9, 2.0, "a"))
    ]
    answer = Book(kept, ImageSet("course")).answer(lab, scale)
    assert [run.id for run in answer.rows[0].results] == [kept[0].id], "the other is no such run"
    assert "blur 0.5" in markdown([answer], {lab.name: [Path("a.png")]})
