"""What trains the runs is chosen in the app, too."""

from collections.abc import Mapping

import pytest

from cifar_tui.errors import UserError
from cifar_tui.queue import processes
from cifar_tui.queue.choices import BackendChoice, parse_options, split_options
from cifar_tui.queue.queue import ThreadQueue
from tests.apps import MakeApp
from tests.waiting import screen_text, wait_for


async def test_processes_take_the_place_of_the_thread(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f11")
        await wait_for(pilot, lambda: "What trains the runs" in screen_text(app))
        assert "one run after another" in screen_text(app)
        await pilot.press("down", "tab", *"cpu:1", "enter")
        await wait_for(pilot, lambda: isinstance(app.worker, processes.Pool))
        assert (app.wish.name, app.wish.devices) == ("processes", "cpu:1")
        await wait_for(pilot, lambda: "on cpu:1 (F11)" in screen_text(app))
        assert app.worker.alive
        app.worker.close()
        app.worker.join()


async def test_a_device_that_is_not_here_changes_nothing(make_app: MakeApp) -> None:
    app = make_app()
    before = app.worker
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("f11", "down", "tab", *"cuda:77", "enter")
        await wait_for(pilot, lambda: "cuda:77 is not here" in screen_text(app))
        assert app.worker is before


async def test_what_cannot_be_used_is_greyed_with_its_reason(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def why_not(choice: BackendChoice, options: Mapping[str, str]) -> str:
        named = choice.name == "ray" and options.get("address") == "head:6379"
        usable = choice.name == "thread" or named
        return "" if usable else f"No {choice.name} here; buy some."

    monkeypatch.setattr(BackendChoice, "why_not", why_not)
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f11")
        await wait_for(pilot, lambda: "No slurm here; buy some." in screen_text(app))
        await pilot.press("down", "enter")
        await wait_for(pilot, lambda: len(app.screen_stack) == 1)
        assert app.wish.name == "thread"
        await pilot.press("f11")
        await wait_for(pilot, lambda: "No ray here; buy some." in screen_text(app))
        await pilot.press("tab", "tab", *"address=head:6379")
        await wait_for(pilot, lambda: "a Ray cluster, which" in screen_text(app))
        assert "No processes here" in screen_text(app)


async def test_a_comma_inside_of_a_value_stays_there(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BackendChoice, "why_not", lambda choice, options: "")
    monkeypatch.setattr(
        "cifar_tui.features.devices.dialog.make_backend", lambda runs, wish: (ThreadQueue(), ())
    )
    text = "partition=gpu,long, time=60,sbatch=--constraint=a,b --nice=10"
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f11", *["down"] * 3, "tab", "tab")
        await wait_for(pilot, lambda: "Commas stand between options" in screen_text(app))
        await pilot.press(*text, "enter")
        await wait_for(pilot, lambda: len(app.screen_stack) == 1)
        options = {
            "partition": "gpu,long",
            "time": "60",
            "sbatch": "--constraint=a,b --nice=10",
        }
        assert (app.wish.name, app.wish.options) == ("slurm", options)
        await pilot.press("f11", "tab", "tab", "enter")
        await wait_for(pilot, lambda: len(app.screen_stack) == 1)
        assert app.wish.options == options


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("gpus=1,", ["gpus=1,"]),
        (" gres=gpu:1,shard:2 , mem = 8G", ["gres=gpu:1,shard:2", "mem = 8G"]),
        ("time=60,time=90", ["time=60", "time=90"]),
        ("sbatch=--comment=x,y=1", ["sbatch=--comment=x,y=1"]),
        ("", []),
    ],
)
def test_only_the_name_of_an_option_ends_the_one_before(text: str, parts: list[str]) -> None:
    assert split_options(text, "slurm") == parts


def test_an_option_needs_a_value() -> None:
    assert parse_options(["partition=gpu", "time = 60"]) == {"partition": "gpu", "time": "60"}
    with pytest.raises(UserError, match=r"NAME=VALUE.*got 'partition'"):
        parse_options(["partition"])
