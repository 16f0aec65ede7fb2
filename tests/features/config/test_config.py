"""The configuration: what it changes in commands and in the app, and what is said of wrong ones."""

import json
from pathlib import Path

import pytest

from cifar_tui.app import CifarApp
from cifar_tui.config import Config, NamedView, read_config, set_entry
from cifar_tui.files import config_path
from cifar_tui.queue.queue import ThreadQueue
from cifar_tui.spec.settings import RunSpec
from cifar_tui.tui.row_table import RowTable
from tests.apps import MakeApp, SaveRun
from tests.conftest import Command
from tests.waiting import screen_text, wait_for


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def write(text: str) -> None:
    config_path().parent.mkdir(parents=True, exist_ok=True)
    config_path().write_text(text)


def test_an_entry_is_changed_and_the_rest_of_the_file_stays() -> None:
    write('# mine\ntheme = "nord"  # dark\n\n[keys]\n# rare\n"history.trash" = "x"\n')
    set_entry("theme", "dracula")
    set_entry("keys.history.trash", "delete")
    set_entry("runs", "~/runs")
    assert read_config() == Config(theme="dracula", runs="~/runs", keys={"history.trash": "delete"})
    text = config_path().read_text()
    assert text.startswith("# mine\n")
    assert "# rare" in text
    set_entry("keys.history.trash", "")
    set_entry("theme", "")
    assert read_config() == Config(runs="~/runs")


def test_the_first_entry_makes_the_file(cifar: Command) -> None:
    assert cifar("config", "set", "theme", "nord").returncode == 0
    assert config_path().read_text() == 'theme = "nord"\n'
    shown = cifar("config")
    assert "theme      nord" in shown.stdout
    assert "Folder with the runs" in shown.stdout
    assert json.loads(cifar("config", "--json").stdout)["theme"] == "nord"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1", "colour is not known there; there are theme, runs"),
        ("read_only = 'perhaps'", "read_only must be true or false"),
        ("theme =", "is not a TOML file"),
        ("theme = 3", "theme must be a text in quotes"),
        ("bell = 'loud'", "bell must be true or false"),
        ("webhook = 'example.org'", "webhook must begin with https:// or http://"),
        ("views = 3", "views must be a table"),
        ("[views.x]\nsortt = 'lr'", "views.x.sortt is not known there; there are filter, sort"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_sentence(cifar: Command, text: str, said: str) -> None:
    write(text)
    for command in (("runs", "list"), ("config",)):
        done = cifar(*command)
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns = 'name,colour'", "columns: There is no field 'colour'"),
        ("[views.x]\nsort = '-lrr'", "views.x.sort: There is no field 'lrr'; did you mean lr?"),
        ("[views.x]\nfilter = 'lr>'", "views.x.filter: lr> needs a number."),
        ("[views.x]\ncolumns = ','", "views.x.columns: Columns need fields, like name,lr"),
    ],
)
def test_a_view_that_speaks_of_what_is_not_there_names_its_entry(
    cifar: Command, text: str, said: str
) -> None:
    write(text)
    for command in (("runs", "list", "--view", *["x"] * ("views" in text)), ("config",)):
        done = cifar(*command)
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_view_is_listed_by_its_name(cifar: Command, save_run: SaveRun) -> None:
    runs = save_run((0.5, 0.7), name="good", lr=0.1).path.parent
    save_run((0.6,), name="better", lr=0.2)
    save_run((0.3,), name="bad", lr=0.3)
    cifar("config", "set", "views.my best.filter", "val_acc>50")
    cifar("config", "set", "views.my best.sort", "-val_acc")
    assert cifar("config", "set", "views.my best.columns", "name,lr").returncode == 0
    listed = cifar("runs", "list", "--view", "my best", "--runs", str(runs), "--json")
    assert json.loads(listed.stdout) == [{"name": "good", "lr": 0.1}, {"name": "better", "lr": 0.2}]
    assert "my best filter 'val_acc>50' sort '-val_acc'" in cifar("config").stdout
    other = cifar("runs", "list", "--view", "other", "--runs", str(runs))
    assert "There is no view 'other'; there are my best." in other.stderr
    for name in ("filter", "sort", "columns"):
        cifar("config", "set", f"views.my best.{name}", "")
    assert read_config() == Config()


async def test_history_shows_the_configured_columns_until_others_are_chosen(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    save_run(name="mine", lr=0.1)
    config = Config(columns="name,lr,val_acc")

    async def shown(*keys: str) -> list[str]:
        app = make_app(config=config)
        async with app.run_test(size=(140, 40)) as pilot:
            await pilot.press("f4")
            await wait_for(pilot, lambda: "mine" in screen_text(app))
            await pilot.press(*keys)
            names = [column.name for column in app.screen.query_one(RowTable).columns]
            await app.workers.wait_for_complete()
            return names

    assert await shown("C", "g", "space", "enter") == ["", "lr", "best val_acc"]
    assert await shown("C", "r", "enter") == ["", "name", "lr", "best val_acc"]
    config = Config(columns="val_acc,name")
    assert await shown() == ["", "best val_acc", "name"]


async def test_a_view_is_chosen_in_history_by_a_key_or_from_the_palette(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    for name, val_acc in (("good", 0.7), ("better", 0.8), ("bad", 0.3)):
        save_run((val_acc,), name=name)
    view = NamedView(filter="val_acc>50", sort="-val_acc", columns="name,val_acc")
    app = make_app(config=Config(views={"best": view}))

    def names() -> list[str]:
        tables = app.screen.query(RowTable)
        return [t.get_row_at(i)[1].strip() for t in tables for i in range(t.row_count)]

    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f4")
        await wait_for(pilot, lambda: names() == ["bad", "better", "good"])
        await pilot.press("F", "j", "enter")
        await wait_for(pilot, lambda: names() == ["better", "good"])
        save_run((0.1,), name="new")
        await wait_for(pilot, lambda: "new" in names())
        await pilot.press("F", "enter")
        await wait_for(pilot, lambda: names() == ["new", "bad", "better", "good"])
        commands = {c.title: c.callback for c in app.get_system_commands(app.screen)}
        commands["View best"]()
        await wait_for(pilot, lambda: names() == ["better", "good"])


def test_who_is_told_by_default_stands_in_the_configuration(
    cifar: Command, tiny_course: Path, tmp_path: Path
) -> None:
    told = tmp_path / "told.json"
    cifar("config", "set", "on_end", f"cat > {told}")
    flags = ("--data", str(tiny_course), "--epochs", "1")
    assert cifar("train", *flags).returncode == 0
    assert json.loads(told.read_text())["event"] == "queue_ended"
    told.unlink()
    assert cifar("train", *flags, "--on-end", "true").returncode == 0
    assert not told.exists()


def test_a_webhook_is_kept_from_others(cifar: Command) -> None:
    cifar("config", "set", "webhook", "https://example.org/secret")
    assert config_path().stat().st_mode & 0o077 == 0
    assert "secret" not in cifar("config").stdout.replace("kept secret", "")


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("history.trush", "x", "did you mean history.trash?"),
        ("history.trash", "o", "would both have the key o"),
        ("history.trash", "no key", "is no key"),
    ],
)
def test_keys_that_do_not_work_are_refused(cifar: Command, name: str, keys: str, said: str) -> None:
    done = cifar("config", "set", f"keys.{name}", keys)
    assert done.returncode == 2
    assert said in done.stderr
    assert not config_path().exists()


def test_the_folders_of_the_configuration_are_used_unless_flags_name_others(
    cifar: Command, save_run: SaveRun, tmp_path: Path
) -> None:
    run = save_run(name="there")
    write(f'runs = "{run.path.parent}"\n')
    assert run.id in cifar("runs", "list", "--json").stdout
    assert json.loads(cifar("runs", "list", "--json", "--runs", str(tmp_path / "x")).stdout) == []


def test_other_keys_are_listed(cifar: Command) -> None:
    cifar("config", "set", "keys.history.trash", "delete,x")
    listed = json.loads(cifar("config", "keys", "--json").stdout)
    assert listed["history.trash"] == "delete,x"
    assert listed["everywhere.palette"] == "ctrl+p"
    cifar("config", "set", "vim", "true")
    assert json.loads(cifar("config", "keys", "--json").stdout)["everywhere.palette"] == (
        "ctrl+p,colon"
    )


async def test_a_theme_that_is_chosen_is_there_the_next_time(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test() as pilot:
        await pilot.pause()
        app.theme = "nord"
        await wait_for(pilot, lambda: read_config().theme == "nord")
    again = make_app(config=read_config())
    async with again.run_test() as pilot:
        await pilot.pause()
        assert again.theme == "nord"


async def test_a_program_that_only_looks_changes_nothing(save_run: SaveRun, tmp_path: Path) -> None:
    save_run(name="theirs")
    app = CifarApp(tmp_path / "runs", "demo", ThreadQueue(), config=Config(read_only=True))
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("enter")
        await wait_for(pilot, lambda: "only looks" in screen_text(app))
        await pilot.press("f4")
        await wait_for(pilot, lambda: "theirs" in screen_text(app))
        await pilot.press("x")
        await pilot.pause()
        assert len(app.screen_stack) == 1, "nobody is asked whether to delete"
        await pilot.press("i")
        await wait_for(pilot, lambda: app.screen.id == "run")
        app.launcher.launch([RunSpec()], 1)
        assert [run.name for run in app.runs.all()] == ["theirs"]
    app.worker.close()
    app.worker.join()
