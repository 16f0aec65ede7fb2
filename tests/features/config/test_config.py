"""The configuration: what it changes in commands and in the app, and what is said of wrong ones."""

import json
from pathlib import Path

import pytest
from cifar_tui.queue.thread import ThreadQueue

from cifar_tui.app import CifarApp
from cifar_tui.config import Config, read_config, set_entry
from cifar_tui.files import config_path
from cifar_tui.spec.settings import RunSpec
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
