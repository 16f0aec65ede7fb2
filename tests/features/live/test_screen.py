"""A real run watched, paused, stopped and skipped; the app's questions; the smallest window."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.widgets import Static

from cifar_tui.app import CifarApp
from cifar_tui.features.history.screen import HistoryScreen
from cifar_tui.features.live.page import RunPage
from cifar_tui.features.live.screen import LiveScreen
from cifar_tui.queue import run_writer
from cifar_tui.queue.cluster import adapter, slurm
from cifar_tui.queue.turns import device_turn
from cifar_tui.runs.events import read_epochs
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs, read_run
from cifar_tui.runs.record import Progress, this_worker, waiting_job
from cifar_tui.spec.settings import RunSpec
from cifar_tui.tui.dialogs import Ask, AskToLeave, HelpScreen
from cifar_tui.tui.keys import EVERYWHERE, keys_for
from cifar_tui.tui.plot import Curve, Curves
from cifar_tui.tui.row_table import EpochTable
from tests.apps import MakeApp, SaveRun, launch, run_in_training
from tests.told import tell
from tests.waiting import screen_text, toasts, wait_for

SMALL = (80, 24)


def shown(app: CifarApp, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Static).render())


def has_curve(text: str) -> bool:
    """Whether a line was drawn in Braille dots."""
    return sum("\u2800" < character <= "\u28ff" for character in text) > 5


def long_spec(tiny_course: Path, **settings: object) -> RunSpec:
    return RunSpec(data=str(tiny_course), epochs=100_000, **settings)


def status(app: CifarApp, number: int = -1) -> str:
    return app.runs.all()[number].status


async def test_a_newcomer_who_only_presses_enter_sees_a_curve_move(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.runs.all() and app.runs.all()[0].summary.epochs_done > 2)
        await wait_for(pilot, lambda: has_curve(screen_text(app)))
        text = screen_text(app)
        assert "synthetic demo" in text
        assert "train_loss" in text
        assert "ln 10 = 2.3026" in text
        assert "img/s" in text
        assert "best val_acc 0." in text
        assert "o train" in text
        assert "x val" in text


async def test_pause_holds_the_run_and_p_goes_on(make_app: MakeApp, tiny_course: Path) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await launch(pilot, long_spec(tiny_course))
        await wait_for(pilot, lambda: app.runs.all()[0].summary.epochs_done >= 1)
        await pilot.press("p")
        await wait_for(pilot, lambda: status(app) == "paused")
        await wait_for(pilot, lambda: "paused" in shown(app, "progress"))
        done = len(read_epochs(app.runs.all()[0].path))
        await pilot.pause(0.5)
        assert len(read_epochs(app.runs.all()[0].path)) == done
        await pilot.press("p")
        await wait_for(pilot, lambda: app.runs.all()[0].summary.epochs_done > done)
        assert status(app) == "running"


async def test_the_bar_of_a_run_stays_where_it_is_when_it_pauses(
    make_app: MakeApp, tmp_path: Path
) -> None:
    folder = run_in_training(tmp_path / "runs")
    app = make_app(watch=folder.id)
    async with app.run_test(size=SMALL) as pilot:
        bars = {}
        for phase, word in (("train", "img/s"), ("paused", "paused"), ("val", "validating")):
            where = Progress(worker=this_worker(), phase=phase, epoch=3, images_done=50, images=100)
            folder.write_progress(where)
            await wait_for(pilot, lambda word=word: word in shown(app, "progress"))
            bars[phase] = shown(app, "progress")
        assert "epoch  3/10  50% " in bars["train"]
        assert bars["paused"].partition("]")[0] == bars["train"].partition("]")[0]
        assert "epoch  3/10 100% " in bars["val"]
        assert bars["val"].index("]") == bars["train"].index("]")


async def test_a_pause_of_the_validation_leaves_the_training_of_its_epoch_done(
    make_app: MakeApp, tiny_course: Path
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await launch(pilot, long_spec(tiny_course, subset=1, val_batch_size=1))
        await wait_for(pilot, lambda: app.runs.all()[0].summary.epochs_done >= 1)
        await pilot.press("p")
        await wait_for(pilot, lambda: status(app) == "paused")
        await wait_for(pilot, lambda: "paused" in shown(app, "progress"))
        assert "100% lr" in shown(app, "progress")


async def test_stop_asks_with_the_consequence_and_holds_the_queue(
    make_app: MakeApp, tiny_course: Path
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await launch(
            pilot, long_spec(tiny_course, name="first"), long_spec(tiny_course, name="second")
        )
        await wait_for(pilot, lambda: app.runs.all()[0].summary.epochs_done >= 1)
        assert "next: second" in shown(app, "foot")
        await pilot.press("s")
        await pilot.pause()
        assert isinstance(app.screen, Ask)
        question = str(app.screen.query(Static).first().render())
        assert "Stop first?" in question
        assert "of 100000 epochs are kept and it can be resumed" in question
        await pilot.press("escape")
        await pilot.pause()
        assert status(app, 0) == "running"
        await pilot.press("s", "y")
        await wait_for(pilot, lambda: status(app, 0) == "stopped")
        await wait_for(pilot, lambda: app.worker.current is None)
        assert status(app, 1) == "queued"
        await pilot.press("p")
        await wait_for(pilot, lambda: status(app, 1) == "running")


async def test_a_run_that_waits_is_neither_next_to_itself_nor_in_training(
    make_app: MakeApp, tiny_course: Path, tmp_path: Path
) -> None:
    app = make_app()
    with device_turn("cpu") as others:
        assert others.take(tmp_path / "another run")
        async with app.run_test(size=SMALL) as pilot:
            specs = [
                long_spec(tiny_course, name=name, device="cpu") for name in ("first", "second")
            ]
            await launch(pilot, *specs)
            await wait_for(pilot, lambda: "waits for cpu" in screen_text(app))
            await pilot.press("q")
            await wait_for(pilot, lambda: isinstance(app.screen, AskToLeave))
            question = str(app.screen.query(Static).first().render())
            assert question == "2 runs wait to be trained."
            await pilot.press("escape", "right_square_bracket")
            await wait_for(pilot, lambda: "second" in shown(app, "run"))
            assert "next:" not in shown(app, "foot")
            run_in_training(app.runs.folder)
            await pilot.press("l")
            told = "1 run in training, 1 waiting for a device, 1 queued"
            await wait_for(pilot, lambda: told in screen_text(app))
            app.worker.close()


async def test_skip_goes_on_with_the_next_run(make_app: MakeApp, tiny_course: Path) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await launch(
            pilot, long_spec(tiny_course, name="first"), long_spec(tiny_course, name="second")
        )
        await wait_for(pilot, lambda: status(app, 0) == "running")
        await pilot.pause(0.3)
        await pilot.press("S", "y")
        await wait_for(pilot, lambda: status(app, 0) == "stopped")
        await wait_for(pilot, lambda: "second" in shown(app, "run"))
        assert status(app, 1) == "running"


async def test_live_shows_what_trains_whatever_was_looked_at_before(
    make_app: MakeApp, save_run: SaveRun, tmp_path: Path
) -> None:
    save_run(name="old")
    run_in_training(tmp_path / "runs")
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f4")
        await wait_for(pilot, lambda: "2 runs" in screen_text(app))
        await pilot.press("end", "enter")
        await wait_for(pilot, lambda: isinstance(app.screen, RunPage))
        await wait_for(pilot, lambda: "old" in shown(app, "run"))
        await pilot.press("l")
        await wait_for(pilot, lambda: "elsewhere" in shown(app, "run"))
        await pilot.press("h")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, RunPage))
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(app.screen, HistoryScreen))


def end(folder: RunFolder, status: str = "finished", reason: str = "") -> None:
    """Have a run ended as if by its own process."""
    told = {"status": status, "reason": reason}
    folder.write_summary(read_run(folder.path).summary.model_copy(update=told))


async def test_live_goes_on_to_what_another_process_trains_next(
    make_app: MakeApp, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    first = run_in_training(runs, name="first")
    second = RunFolder.create(runs, RunSpec(name="second"))
    second.write_progress(Progress(worker=this_worker()))
    app = make_app(mode="live")
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, lambda: "first" in shown(app, "run"))
        await wait_for(pilot, lambda: "next: second" in shown(app, "foot"))
        await pilot.press("right_square_bracket")
        await wait_for(pilot, lambda: "second" in shown(app, "run"))
        await pilot.press("left_square_bracket")
        await wait_for(pilot, lambda: "first" in shown(app, "run"))
        end(first)
        summary = read_run(second.path).summary
        second.write_summary(summary.model_copy(update={"status": "running"}))
        await wait_for(pilot, lambda: "second" in shown(app, "run"))
        end(second)
        await wait_for(pilot, lambda: "finished" in shown(app, "progress"))


async def test_keys_that_fit_no_run_of_this_state_are_not_offered_and_say_what_trains(
    make_app: MakeApp, save_run: SaveRun, tmp_path: Path
) -> None:
    stopped = save_run(name="old", status="stopped", epochs=9)
    run_in_training(tmp_path / "runs")
    app = make_app()
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        app.watch_run(stopped.id)
        await wait_for(pilot, lambda: " r resume" in screen_text(app))
        keys = screen_text(app)
        assert " e export" in keys
        assert "pause" not in keys
        assert "skip" not in keys
        await wait_for(pilot, lambda: app.activity.now.training)
        await pilot.press("s")
        told = "old was stopped. elsewhere is training: l shows it."
        await wait_for(pilot, lambda: told in toasts(app))
        await pilot.press("l")
        await wait_for(pilot, lambda: " p pause" in screen_text(app))
        assert "resume" not in screen_text(app)
        assert "export" not in screen_text(app), "there is no best epoch yet"


async def test_a_stopped_run_is_resumed_on_its_page(make_app: MakeApp, tiny_course: Path) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await launch(pilot, long_spec(tiny_course, name="mine"))
        await wait_for(pilot, lambda: app.runs.all()[0].summary.epochs_done >= 1)
        await pilot.press("s", "y")
        await wait_for(pilot, lambda: status(app) == "stopped")
        app.watch_run(app.runs.all()[0].id)
        await wait_for(pilot, lambda: " r resume" in screen_text(app))
        await pilot.press("r")
        await wait_for(pilot, lambda: status(app) == "running")
        await wait_for(pilot, lambda: " p pause" in screen_text(app))


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_what_a_run_waits_for_is_never_cut(
    make_app: MakeApp, save_run: SaveRun, size: tuple[int, int]
) -> None:
    folder = save_run((), status="queued", name="mine")
    folder.write_progress(Progress(worker=this_worker()))
    reason = (
        "waits for cpu, used by anna's simplenn bn lr 0.1 in /home/anna/assignments/cifar/runs "
        "(epoch 12/30, 0:12:31 left)"
    )
    end(folder, "queued", reason)
    app = make_app(mode="live")
    async with app.run_test(size=size) as pilot:
        await wait_for(pilot, lambda: "0:12:31 left)" in " ".join(screen_text(app).split()))
        assert all(word in screen_text(app) for word in reason.split())


async def test_a_page_says_why_its_run_cannot_be_read(make_app: MakeApp, save_run: SaveRun) -> None:
    folder = save_run(name="mine")
    (folder.path / "summary.json").unlink()
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        app.watch_run(folder.id)
        await wait_for(pilot, lambda: "summary.json is missing" in screen_text(app))
        await pilot.press("escape")
        await wait_for(pilot, lambda: len(app.screen_stack) == 1)


async def test_brackets_change_the_watched_run(make_app: MakeApp, save_run: SaveRun) -> None:
    save_run(name="older")
    newer = save_run(name="newer")
    app = make_app(watch=newer.id)
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, lambda: "newer" in shown(app, "run"))
        await pilot.press("left_square_bracket")
        await wait_for(pilot, lambda: "older" in shown(app, "run"))
        await pilot.press("right_square_bracket")
        await wait_for(pilot, lambda: "newer" in shown(app, "run"))


@pytest.mark.parametrize("size", [(80, 24), (140, 40), (60, 20), (200, 60)])
async def test_an_ended_run_shows_its_figures_at_any_size(
    make_app: MakeApp, save_run: SaveRun, size: tuple[int, int]
) -> None:
    folder = save_run((0.3123, 0.7182, 0.7), name="lab2-bn")
    app = make_app(watch=folder.id)
    async with app.run_test(size=size) as pilot:
        await wait_for(pilot, lambda: "0.7182 @ 2" in shown(app, "run"))
        await pilot.pause()
        text = screen_text(app)
        assert "0.3123" in text
        assert "finished" in text
        for line in text.splitlines():
            assert len(line) <= size[0]


async def test_resizing_keeps_everything_readable(make_app: MakeApp, save_run: SaveRun) -> None:
    folder = save_run(tuple(0.3 + i / 100 for i in range(30)), name="x")
    app = make_app(watch=folder.id)
    async with app.run_test(size=(140, 40)) as pilot:
        await wait_for(pilot, lambda: "0.5900 @ 30" in shown(app, "run"))
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        await wait_for(pilot, lambda: "0.5900 @ 30" in screen_text(app).splitlines()[1])
        assert app.screen.query_one("#loss", Curves).size.width <= 40


async def test_a_run_trained_by_another_process_is_watched_and_steered_through_its_folder(
    make_app: MakeApp, tmp_path: Path
) -> None:
    folder = run_in_training(tmp_path / "runs")
    app = make_app(watch=folder.id)
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, lambda: "epoch  3/10  50% lr 0.01" in shown(app, "progress"))
        await pilot.press("p")
        await wait_for(pilot, lambda: folder.read_order() == "pause")
        tell(folder, {"event": "epoch", "epoch": 1, "val_acc": 0.25, "train_loss": 2.0})
        await wait_for(pilot, lambda: "0.2500" in screen_text(app))


async def test_a_hundred_updates_a_second_redraw_only_what_changed(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "runs", RunSpec(name="busy", epochs=5000))
    summary = read_run(folder.path).summary
    folder.write_summary(summary.model_copy(update={"status": "running"}))
    drawn = []
    plot = Curves._plot
    monkeypatch.setattr(Curves, "_plot", lambda *a: drawn.append(1) or plot(*a))
    app = make_app(watch=folder.id)
    async with app.run_test(size=SMALL) as pilot:
        for number in range(1, 301):
            tell(folder, {"event": "epoch", "epoch": number, "val_acc": 0.5, "train_loss": 1.0})
            folder.write_progress(
                Progress(worker=this_worker(), epoch=number, images=100, images_done=number % 100)
            )
            await pilot.pause(0.01)
        await wait_for(pilot, lambda: "   300" in screen_text(app))
        before = len(drawn)
        assert before <= 2 * 12, "two plots, at most one redraw a second"
        await pilot.pause(1.5)
        assert len(drawn) <= before + 2, "nothing changed, nothing to draw"


async def test_values_that_are_not_finite_are_gaps_and_not_crashes(
    make_app: MakeApp, save_run: SaveRun
) -> None:
    folder = save_run((0.3,), status="diverged", name="wild")
    tell(folder, {"event": "epoch", "epoch": 2, "train_loss": float("nan"), "val_loss": 1e30})
    app = make_app(watch=folder.id)
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, lambda: "diverged" in shown(app, "progress"))
        table = app.screen.query_one(EpochTable)
        await wait_for(pilot, lambda: len(table._epochs) == 2)
        await wait_for(pilot, lambda: "1.00e+30" in screen_text(app))


def test_curves_are_split_at_gaps() -> None:
    curve = Curve("x", [(1, 1.0), (2, None), (3, 2.0), (4, float("inf")), (5, float("nan"))])
    assert curve.segments() == [[(1, 1.0)], [(3, 2.0)]]


async def test_hostile_names_are_shown_and_not_obeyed(make_app: MakeApp, save_run: SaveRun) -> None:
    folder = save_run(name="[red]x[/red]")
    (folder.path / "notes.json").write_text('{"name": "\\u001b]0;owned\\u0007[b]y"}')
    app = make_app(watch=folder.id)
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, lambda: "owned" in shown(app, "run"))
        text = screen_text(app)
        assert "\x1b]0" not in text
        assert "[b]y" in text
        await pilot.press("i")
        await pilot.pause()
        assert "\x1b]0" not in screen_text(app)


async def test_quitting_while_training_asks_and_keeps_what_was_trained(
    make_app: MakeApp, tiny_course: Path
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await launch(pilot, long_spec(tiny_course, name="mine"))
        await wait_for(pilot, lambda: app.runs.all()[0].summary.epochs_done >= 1)
        await pilot.press("q")
        await pilot.pause()
        assert isinstance(app.screen, AskToLeave)
        assert "mine is in training" in str(app.screen.query(Static).first().render())
        await pilot.press("n")
        await pilot.pause()
        assert isinstance(app.screen, LiveScreen)
        await pilot.press("q", "s")
        await wait_for(pilot, lambda: not app.is_running)
    app.worker.close()
    app.worker.join()
    (run,) = Runs(app.runs.folder).all()
    assert run.status == "stopped"
    assert run.summary.epochs_done >= 1


async def test_quitting_without_training_does_not_ask(make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("f10")
        await wait_for(pilot, lambda: not app.is_running)


async def test_a_failed_run_says_why_and_the_queue_goes_on(
    make_app: MakeApp, tiny_course: Path
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        bad = RunSpec(data=str(tiny_course), device="cuda:63", name="bad")
        good = RunSpec(data=str(tiny_course), epochs=1, name="good")
        await launch(pilot, bad, good)
        await wait_for(pilot, lambda: status(app, 1) == "finished")
        failed = app.runs.all()[0]
        assert failed.status == "failed"
        assert "cuda:63 is not here" in failed.summary.reason


@pytest.mark.parametrize("mode", ["new", "live", "history", "devices"])
async def test_every_action_is_in_the_key_line_the_palette_and_the_help(
    make_app: MakeApp, save_run: SaveRun, mode: str
) -> None:
    save_run()
    app = make_app()
    async with app.run_test(size=(140, 40)) as pilot:
        app.action_go(mode)
        await pilot.pause()
        app.screen.set_focus(None)
        await wait_for(pilot, lambda: app.activity.now.known)
        await pilot.pause()
        screen = app.screen
        palette = {command.title for command in app.get_system_commands(screen)}
        for key in [*keys_for(mode), *keys_for(EVERYWHERE)]:
            name = key.action.removeprefix("app.").split("(")[0]
            owner = app if key.action.startswith("app.") else screen
            assert hasattr(owner, f"action_{name}"), f"{key.action} does nothing"
            if name not in ("command_palette", "back"):
                found = f"{key.label.capitalize()} ({key.display})" in palette
                assert found == screen.offers(key.action)
        for key in [k for k in keys_for(mode) if k.shown and screen.check_action(k.action, ())]:
            if screen.offers(key.action):
                await wait_for(pilot, lambda key=key: f" {key.label} " in screen_text(app))
        await pilot.press("f1")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        text = str(app.screen.query(Static).first().render())
        for key in [*keys_for(mode), *keys_for(EVERYWHERE)]:
            assert key.help in text
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is screen


def test_no_key_means_two_things_on_one_screen() -> None:
    for mode in ("new", "live", "page", "history", "devices"):
        here = [key for key in keys_for(mode) if key.keys != "escape"]  # goes back, as everywhere
        keys = [k for key in (*here, *keys_for(EVERYWHERE)) for k in key.keys.split(",")]
        assert len(keys) == len(set(keys)), f"{mode}: {sorted(keys)}"


async def test_the_worker_trains_on_when_the_screen_ends(
    make_app: MakeApp, tiny_course: Path
) -> None:
    app = make_app()
    async with app.run_test(size=SMALL) as pilot:
        await launch(pilot, RunSpec(data=str(tiny_course), epochs=40, name="long"))
        await wait_for(pilot, lambda: app.runs.all()[0].summary.epochs_done >= 1)
        app.exit()
    app.worker.finish()
    app.worker.join()
    assert Runs(app.runs.folder).all()[0].status == "finished"


async def test_a_run_that_waits_in_slurm_is_stopped_at_once_with_another_backend(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "runs", RunSpec(data="demo"))
    folder.write_progress(Progress(worker=waiting_job("slurm:7_0@trial")))
    waiting, askers = ["7_0"], set()

    def ask(command: Sequence[str], *_: object) -> str:
        askers.add(threading.current_thread())
        if command[-1] == "7_0" and command[0] == "scontrol":
            raise adapter.Refused("Invalid job id specified")
        if command[0] == "scontrol":
            return "ClusterName = trial\n"
        if command[0] == "scancel":
            waiting.clear()
        return "".join(f"{job}|PENDING|0|Priority\n" for job in waiting)

    monkeypatch.setattr(slurm, "ask", ask)
    app = make_app(watch=folder.id)
    async with app.run_test(size=SMALL) as pilot:
        await wait_for(pilot, lambda: "slurm:7_0" in shown(app, "progress"))
        await pilot.press("s", "y")
        await wait_for(pilot, lambda: status(app) == "stopped")
        assert not waiting
        assert threading.main_thread() not in askers


async def test_a_run_whose_folder_is_removed_makes_way_for_the_next(
    make_app: MakeApp, tiny_course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_writer, "GRACE", 3.0)
    app = make_app()
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await launch(pilot, *[long_spec(tiny_course, name=name) for name in ("removed", "next")])
        await wait_for(pilot, lambda: app.runs.all()[0].summary.epochs_done > 0)
        first, second = app.runs.all()
        await wait_for(pilot, lambda: "removed" in shown(app, "run"))
        first.path.rename(first.path.with_name(".gone"))
        for key in ("s", "S", "p"):
            await pilot.press(key)
        await wait_for(pilot, lambda: toasts(app).count("is missing") == 1)
        await wait_for(pilot, lambda: app.worker.current == second.id)
        await wait_for(pilot, lambda: "next" in shown(app, "run"))
        await pilot.press("s", "y")
        await wait_for(pilot, lambda: status(app) == "stopped")


@pytest.mark.parametrize(("width", "shown"), [(80, 80), (140, 100)])
async def test_help_takes_up_to_100_columns(make_app: MakeApp, width: int, shown: int) -> None:
    app = make_app(mode="history")
    async with app.run_test(size=(width, 40)) as pilot:
        await pilot.press("question_mark")
        await wait_for(pilot, lambda: isinstance(app.screen, HelpScreen))
        await wait_for(pilot, lambda: app.screen.query_one(".dialog").region.width == shown)
