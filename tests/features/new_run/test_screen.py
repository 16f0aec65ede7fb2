"""The form: what it says while typing, what Enter does, and that it fits the smallest window."""

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from cifar_tui.app import CifarApp
from cifar_tui.features.new_run.field import FormField
from cifar_tui.features.new_run.screen import NewScreen
from cifar_tui.runs.listing import Runs, read_run
from cifar_tui.spec.checks import SETTINGS
from cifar_tui.spec.settings import RunSpec
from tests.apps import MakeApp, SaveRun
from tests.waiting import screen_text, wait_for

SMALL = (80, 24)


def form(app: CifarApp) -> NewScreen:
    assert isinstance(app.screen, NewScreen)
    return app.screen


def shown(app: CifarApp, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Static).render())


async def type_into(app: CifarApp, pilot: Pilot[None], name: str, text: str) -> FormField:
    field = form(app).query_one(f"#field-{name}", FormField)
    field.text = ""
    field.input.focus()
    await pilot.pause()
    for character in text:
        await pilot.press({" ": "space", ",": "comma", ".": "full_stop"}.get(character, character))
    return field


IDLE = {"normalisation": "course", "schedule": "none"}


async def test_every_setting_in_force_has_a_field_that_is_visible_at_80x24(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        fields = {field.setting.name: field for field in form(app).query(FormField)}
        assert set(fields) == set(SETTINGS)
        for model, depth_is_shown in (("simplenn", False), ("resnet", True)):
            fields["model"].text = model
            await wait_for(pilot, lambda wanted=depth_is_shown: fields["depth"].display is wanted)
            await pilot.pause()
            for field in fields.values():
                assert field.display is field.setting.applies(
                    {"augment": False, "model": model} | IDLE
                )
                if field.display and (model, field.setting.name) != ("resnet", "tags"):
                    assert field.region.height == 1
                    assert field.region.bottom <= 24 - 3, f"{field.setting.name} has no room"
                    assert field.input.region.width >= 10


async def test_the_defaults_are_the_specs(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        assert form(app).texts()["lr"] == "0.01"
        assert form(app)._first_spec() == RunSpec(data="demo")


async def test_an_error_shows_while_typing_and_goes_when_mended(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        field = await type_into(app, pilot, "epochs", "1x")
        await pilot.pause()
        assert field.has_class("wrong")
        assert "epochs must be a whole number" in shown(app, "message")
        (line,) = (line for line in screen_text(app).splitlines() if "!Epochs" in line)
        assert "1x" in line
        assert "a whole" in line.split("1x")[1], "what is expected stands beside the field"
        assert "Fix Epochs first" in shown(app, "plan")
        await pilot.press("backspace")
        await pilot.pause()
        assert not field.has_class("wrong")
        assert "Enter launches 1 run" in shown(app, "plan")


async def test_nothing_is_launched_while_something_is_wrong(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await type_into(app, pilot, "lr", "fast")
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert isinstance(app.screen, NewScreen)
        assert app.runs.all() == []
        assert app.focused is form(app).query_one("#field-lr", FormField).input
        form(app).query_one("#field-lr", FormField).text = "0.1"
        await pilot.pause()
        assert "lr must be" not in screen_text(app), "no message outlives what it is about"


async def test_a_device_or_precision_that_is_not_here_is_refused_before_a_run_is_made(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, app.worker.ready.is_set)
        for name, text in (("device", "cuda:99"), ("device", "cpu,cuda:99"), ("precision", "tf32")):
            form(app).action_reset()
            form(app).query_one("#field-device", FormField).text = "cpu"
            form(app).query_one(f"#field-{name}", FormField).text = text
            await pilot.press("enter")
            await pilot.pause()
            assert form(app).query_one(f"#field-{name}", FormField).has_class("wrong")
        assert app.runs.all() == []


async def test_what_is_dimmed_blocks_no_launch_and_what_is_given_twice_is_said(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await type_into(app, pilot, "decay_every", "cos")
        await pilot.pause()
        assert not form(app).query_one("#field-decay_every", FormField).has_class("wrong")
        assert "Enter launches 1 run" in shown(app, "plan")
        await type_into(app, pilot, "seed", "0,1,1")
        await pilot.pause()
        assert "2 runs (equal ones made once)" in shown(app, "plan")


async def test_the_real_images_are_fetched_only_after_a_yes(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10.url", "http://127.0.0.1:1/archive")
    app = make_app(data=str(tmp_path / "data"))
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f8")
        await wait_for(pilot, lambda: "(170 MB)" in str(app.screen.query(Static).first().render()))
        assert not (tmp_path / "data").exists()
        await pilot.press("y")
        await wait_for(pilot, lambda: "Connection refused" in screen_text(app))
        text = " ".join(screen_text(app).split())
        assert "urlopen" not in text
        assert "Esc closes this." in text


async def test_ctrl_c_says_how_to_leave_as_the_key_line_does(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        app.screen.set_focus(None)
        for key, told in (("f2", "F10 leaves"), ("f3", "q leaves")):
            await pilot.press(key)
            await pilot.pause()
            app.clear_notifications()
            await pilot.press("ctrl+c")
            await wait_for(pilot, lambda told=told: told in screen_text(app))


async def test_several_values_make_a_grid_and_its_size_is_shown(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await type_into(app, pilot, "lr", "0.1, 0.05, 0.01")
        await type_into(app, pilot, "batch_norm", "no,yes")
        await pilot.pause()
        assert "6 runs: simplenn bn no,yes lr 0.1,0.05,0.01, 30" in shown(app, "plan")


async def test_what_was_changed_is_marked_and_named_on_the_first_line(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await type_into(app, pilot, "batch_norm", "yes")
        await type_into(app, pilot, "schedule", "cosine")
        await pilot.pause()
        assert "1 run: simplenn bn lr 0.01 cosine, 30 epochs" in shown(app, "plan")
        marked = [line for line in screen_text(app).splitlines() if "*" in line]
        assert len(marked) == 2, marked
        assert any("*Batch norm" in line for line in marked)


async def test_a_field_is_selected_when_it_is_entered_and_a_comma_adds_to_it(
    make_app: MakeApp,
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        lr = form(app).query_one("#field-lr", FormField)
        lr.input.focus()
        await pilot.press("0", "full_stop", "1")
        assert lr.text == "0.1"
        await pilot.press("down", "up", "comma", "1")
        assert lr.text == "0.1,1"
        await pilot.click(form(app).query_one("#field-seed", FormField).input)
        await pilot.press("7")
        assert form(app).texts()["seed"] == "7"


async def test_a_large_grid_is_shown_before_it_is_launched(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await type_into(app, pilot, "seed", "0-11")
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Launch these 12 runs?" in screen_text(app))
        assert "simplenn seed 3" in screen_text(app)
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, NewScreen))
        assert not app.launcher.making
        assert app.runs.all() == []
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Launch these 12 runs?" in screen_text(app))
        app.worker.hold()
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(app.runs.all()) == 12)


async def test_the_time_that_it_takes_is_told_by_runs_like_it(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    save_run(data="demo", epochs=30)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await type_into(app, pilot, "seed", "0-2")
        await wait_for(pilot, lambda: "about 0:" in shown(app, "plan"))
        await type_into(app, pilot, "model", "resnet")
        await wait_for(pilot, lambda: "about" not in shown(app, "plan"))


async def test_space_walks_through_choices(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        field = form(app).query_one("#field-model", FormField)
        field.input.focus()
        await pilot.press("space")
        await pilot.pause()
        assert field.text == "resnet"
        assert not form(app).query_one("#field-depth", FormField).has_class("without-effect")
        assert form(app).query_one("#field-batch_norm", FormField).has_class("without-effect")
        await pilot.press("space")
        await pilot.pause()
        assert field.text == "simplenn"
        assert form(app).query_one("#field-depth", FormField).has_class("without-effect")


async def test_arrows_go_from_field_to_field(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        form(app).query_one("#field-lr", FormField).input.focus()
        await pilot.press("down")
        assert app.focused is form(app).query_one("#field-momentum", FormField).input
        await pilot.press("up", "up")
        assert app.focused is form(app).query_one("#field-subset", FormField).input


async def test_the_images_in_use_and_how_to_get_real_ones_are_named(
    make_app: MakeApp, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app(data="data")
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, lambda: "demo set (synthetic)" in shown(app, "images"))
        text = shown(app, "images")
        assert "F8 gets CIFAR-10" in text


async def test_the_layer_table_stands_beside_the_form_when_there_is_room(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(160, 40)) as pilot:
        table = form(app).query_one("#layer-table", Static)
        await wait_for(pilot, lambda: "simplenn" in str(getattr(table.content, "title", "")))
        await wait_for(pilot, lambda: "716,328" in screen_text(app))
        assert table.region.width > 60
        form(app).query_one("#field-model", FormField).text = "resnet"
        await wait_for(pilot, lambda: "resnet20" in str(getattr(table.content, "title", "")))


async def test_the_layer_table_is_under_a_key_when_there_is_none(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f7")
        await pilot.pause()
        await wait_for(pilot, lambda: "82,030" in screen_text(app))
        assert "8x28x28" in screen_text(app)
        assert "28,800" in screen_text(app), "the separable cost of conv2"
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, NewScreen)


async def test_reset_and_filling_from_a_run(make_app: MakeApp) -> None:
    app = make_app()
    spec = RunSpec(data="demo", lr=0.3, model="resnet", tags=("a",), augment=True)
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        form(app).fill(spec)
        await pilot.pause()
        assert form(app)._first_spec() == spec
        await pilot.press("f9")
        await pilot.pause()
        assert form(app).texts()["lr"] == "0.01"
        await pilot.press("f9")
        await pilot.pause()
        assert form(app)._first_spec() == spec


async def test_a_form_filled_from_a_run_has_neither_its_name_nor_its_tags(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    run = read_run(save_run(name="lab2-augment aug", tags=("lab2-augment",), lr=0.3).path)
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        app.new_from(run)
        await wait_for(pilot, lambda: form(app).texts()["lr"] == "0.3")
        assert (form(app).texts()["name"], form(app).texts()["tags"]) == ("", "")


async def test_enter_makes_a_run_from_what_stands_there(make_app: MakeApp, tmp_path) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await type_into(app, pilot, "lr", "0.2")
        await type_into(app, pilot, "epochs", "1")
        app.worker.hold()
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.current_mode == "live" and not app.launcher.making)
        (run,) = Runs(tmp_path / "runs").all()
        assert run.spec is not None
        assert (run.spec.lr, run.spec.epochs) == (0.2, 1)


async def test_presets_are_the_users_own_the_last_runs_and_the_labs(
    make_app: MakeApp, save_run: SaveRun, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    save_run(name="the good one", lr=0.3, data="demo")
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await type_into(app, pilot, "lr", "0.07")
        await pilot.press("ctrl+s")
        await wait_for(pilot, lambda: "simplenn-lr-0.07.toml" in screen_text(app))
        await pilot.press("enter")
        await wait_for(pilot, lambda: "--spec simplenn-lr-0.07" in screen_text(app))
        await pilot.press("escape", "f9")
        for words, lr in (("lr-0.07", "0.07"), ("GOOD one", "0.3"), ("lab3-best", "0.1")):
            await pilot.press("ctrl+o")
            await wait_for(pilot, lambda: "Enter fills the form" in screen_text(app))
            app.screen.query_one(Input).value = words
            await pilot.pause()
            await pilot.press("enter")
            await wait_for(pilot, lambda lr=lr: form(app).texts()["lr"] == lr)
        assert form(app).texts()["model"] == "resnet"
