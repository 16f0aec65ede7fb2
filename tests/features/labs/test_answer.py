"""Where an experiment stands: which runs count, which come, which are missing, what it says."""

from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import UserError
from cifar_tui.features.labs.assignment import BY_NAME, LABS, find_labs
from cifar_tui.features.labs.experiments import Scale
from cifar_tui.features.labs.images import ImageSet, choose_images
from cifar_tui.features.labs.launch import lacking, queue, seconds_needed
from cifar_tui.queue.queue import Pace
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs, read_run
from cifar_tui.runs.record import Progress, Worker, this_worker
from cifar_tui.spec.settings import RunSpec
from tests.features.labs.conftest import FINGERPRINT, Ask, Save, specs
from tests.told import tell


def test_the_experiments_are_the_assignments() -> None:
    assert [lab.name for lab in LABS] == [
        *("lab1-baseline", "lab1-decay", "lab2-augment", "lab2-bn", "lab2-bn-lr", "lab2-swish"),
        *("lab2-lr", "lab2-l2", "lab2-l1", "lab3-resnet20", "lab3-best"),
        *("lesson-augment", "lesson-bn-dropout", "lesson-combine", "lesson-sparsity"),
        *("lesson-shortcuts", "resnet-lr", "resnet-l2", "2021-lr", "2021-augment"),
        *("2021-baseline", "2022-baseline", "2022-shortcuts"),
    ]
    (best,) = specs("lab3-best")
    assert (best.model, best.depth, best.shortcut, best.epochs) == ("resnet", 20, "A", 200)
    assert (best.lr, best.schedule, best.milestones) == (0.1, "milestones", (90, 140))
    l1, l2 = specs("lab2-l1")
    assert (l1.l1, l1.l2, l2.l1, l2.l2) == (1e-4, 0.0, 0.0, 1e-4)
    assert all(spec.augment for lab in LABS if "lab2" in lab.name for spec in specs(lab.name)[1:])


def test_labs_are_found_by_name_by_beginning_and_all() -> None:
    assert [lab.name for lab in find_labs("lab2-bn")] == ["lab2-bn"]
    assert {lab.name[:4] for lab in find_labs("lab3")} == {"lab3"}
    assert len(find_labs("all")) == len(LABS)
    assert [lab.name[:4] for lab in find_labs("lab3-best", "lab1", "lab3-best")] == [
        "lab1",
        "lab1",
        "lab3",
    ]
    with pytest.raises(UserError, match="lab1-baseline"):
        find_labs("lab9")


def test_nothing_is_started_without_runs(ask: Ask) -> None:
    answer = ask("lab2-lr")
    assert (answer.state, answer.word, answer.wanted) == ("not started", "-", 6)
    assert answer.verdict == "Open: 0 of 6 settings have a figure."
    assert len(answer.to_train()) == 6


def test_runs_with_equal_settings_count_whatever_they_are_called(save: Save, ask: Ask) -> None:
    off, on = specs("lab2-bn")
    other = {"name": "mine", "tags": ("x",), "device": "cpu", "data": "/else", "val_batch_size": 7}
    save(off.model_copy(update=other), 0.69)
    save(on.model_copy(update={"depth": 56}), 0.73)  # a setting without effect on SimpleNN
    answer = ask("lab2-bn")
    assert (answer.state, answer.word) == ("done", "yes")
    assert answer.to_dict()["ours"] == {"no bn": 0.69, "bn": 0.73}
    assert answer.to_dict()["report"] == {"no bn": 0.6982, "bn": 0.7224}


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.02}, {"precision": "bf16"}, {"epochs": 29}, {"subset": 100}, {"tags": ("imported",)}],
    ids=str,
)
def test_a_run_with_another_setting_does_not_count(
    save: Save, ask: Ask, change: dict[str, Any]
) -> None:
    save(specs("lab1-baseline")[0].model_copy(update=change), 0.7)
    assert ask("lab1-baseline").state == "not started"


def test_other_images_never_count(save: Save, ask: Ask) -> None:
    (spec,) = specs("lab1-baseline")
    save(spec, 0.9, source="demo", fingerprint="d" * 16)
    save(spec, 0.8, fingerprint="f" * 16)
    assert ask("lab1-baseline").state == "not started"
    demo = ask("lab1-baseline", ImageSet("demo", "d" * 16))
    assert demo.state == "done"
    assert demo.verdict.endswith("Synthetic images.")
    assert demo.to_dict()["images"]["synthetic"] is True


def test_the_newest_run_says_which_images_are_meant(save: Save, tmp_path: Path) -> None:
    (spec,) = specs("lab1-baseline")
    save(spec)
    save(spec, source="demo", fingerprint="d" * 16)
    runs = Runs(tmp_path / "runs").all()
    assert choose_images("demo", runs) == ImageSet("demo", "d" * 16)
    assert choose_images(None, runs) == ImageSet("course", FINGERPRINT)
    assert choose_images(None, []) == ImageSet("demo")


def test_states_say_what_is_done_and_what_runs(save: Save, ask: Ask) -> None:
    planned = specs("lab2-bn-lr")
    save(planned[0], 0.7)
    assert ask("lab2-bn-lr").state == "1 of 4"
    folder = save(planned[1], status="running", epochs_done=3)
    folder.write_progress(Progress(worker=this_worker()))
    assert ask("lab2-bn-lr").state == "running 1 of 4"
    assert len(ask("lab2-bn-lr").to_train()) == 2
    for spec in planned[1:]:
        save(spec, 0.6)
    assert ask("lab2-bn-lr").state == "done"


def test_a_stopped_run_is_resumed_and_a_failed_one_repeated(
    save: Save, ask: Ask, tmp_path: Path, tiny_course: Path
) -> None:
    off, on = specs("lab2-bn")
    here = {"data": str(tiny_course)}
    off = off.model_copy(update=here)
    stopped = save(off, status="stopped", epochs_done=12)
    save(on, status="failed", epochs_done=0)
    answer = ask("lab2-bn", where=here)
    assert answer.state == "0 of 2"
    assert [run.id for run in answer.to_resume()] == [stopped.id]
    assert answer.to_train() == [on.model_copy(update=here)]
    folders = queue([answer], tmp_path / "runs")
    assert [folder.spec() for folder in folders] == [off, on.model_copy(update=here)]
    for folder in folders:
        folder.write_progress(Progress(worker=this_worker()))
    assert ask("lab2-bn").state == "running 0 of 2"
    assert lacking([ask("lab2-bn")]) == ([], [])


def test_a_queue_left_behind_is_resumed(save: Save, ask: Ask) -> None:
    (spec,) = specs("lab1-baseline")
    folder = save(spec, status="queued", epochs_done=0)
    gone = Worker(**{**this_worker().model_dump(), "pid": 2**22 + 1})
    folder.write_progress(Progress(worker=gone))
    assert [run.id for run in ask("lab1-baseline").to_resume()] == [folder.id]


def test_a_diverged_run_is_a_result_at_chance(save: Save, ask: Ask) -> None:
    save(specs("lab2-lr")[0], status="diverged", epochs_done=0)
    row = ask("lab2-lr").rows[0]
    assert row.mean == 0.1
    assert not row.missing


def test_seeds_give_a_mean_and_a_spread_and_the_next_ones_are_free(save: Save, ask: Ask) -> None:
    for seed, acc in ((0, 0.70), (5, 0.72)):
        for spec in specs("lab2-bn", seed=seed):
            save(spec, acc + 0.1 * spec.batch_norm)
    answer = ask("lab2-bn", seeds=3)
    assert answer.state == "4 of 6"
    assert [spec.seed for spec in answer.to_train()] == [1, 1]
    assert answer.rows[0].mean == pytest.approx(0.71)
    assert answer.rows[0].sd == pytest.approx(0.02 / 2**0.5)
    assert "One seed" not in answer.verdict
    assert ask("lab2-bn").state == "done"
    assert answer.rows[0].figure(answer.lab.measure.show) == "0.7100 ± 0.0141"


def test_one_seed_each_is_said_and_what_is_not_settled_too(save: Save, ask: Ask) -> None:
    for spec, acc in zip(specs("lab2-bn"), (0.700, 0.705), strict=True):
        save(spec, acc)
    answer = ask("lab2-bn")
    assert answer.word == "yes?"
    assert answer.verdict.startswith(
        "No clear difference: bn 0.7050, no bn 0.7000 (+0.0050 ± 0.0277). One seed each"
    )
    assert "about a point" in answer.verdict


def test_a_setting_that_varies_by_far_more_settles_less(save: Save, ask: Ask) -> None:
    for spec, acc in zip(specs("lab2-bn-lr"), (0.70, 0.50, 0.71, 0.66), strict=True):
        save(spec, acc)
    answer = ask("lab2-bn-lr")
    assert answer.word == "yes?", "others' figures at lr 0.1 lie 0.35 and more apart"
    assert "about a point, no bn lr 0.1 by 0.1900, bn lr 0.1 by 0.1300." in answer.verdict
    for seed in (1, 2):
        for spec, acc in zip(specs("lab2-bn-lr", seed=seed), (0.70, 0.51, 0.71, 0.65), strict=True):
            save(spec, acc)
    assert ask("lab2-bn-lr").word == "yes", "the runs' own spread decides once they are there"


def test_how_many_others_there_are_stands_beside_their_range(ask: Ask) -> None:
    answer = ask("lab2-swish")
    assert [row.arm.others_words for row in answer.rows] == ["0.688 (1)", "0.723-0.726 (2)"]
    told = answer.to_dict()["others"]
    assert told["swish"] == {"low": 0.723, "high": 0.726, "n": 2}
    assert ask("lab2-l1").rows[0].arm.others_words == "-"


def test_a_scaled_experiment_says_so_and_shrinks_its_schedule(save: Save, ask: Ask) -> None:
    scale = {"epochs": 6, "subset": 500}
    decayed = specs("lab1-decay", **scale)[1]
    assert (decayed.epochs, decayed.decay_every, decayed.subset) == (6, 2, 500)
    assert specs("lab3-best", epochs=20)[0].milestones == (9, 14)
    assert specs("lab3-best", epochs=1)[0].milestones == (1,)
    for spec in specs("lab1-decay", **scale):
        save(spec, 0.3)
    assert ask("lab1-decay").state == "not started"
    answer = ask("lab1-decay", **scale)
    assert answer.state == "done"
    assert "Scaled: 6 of 30 epochs, the first 500 training images." in answer.verdict


def test_experiments_share_their_runs(ask: Ask) -> None:
    every = [ask(lab.name) for lab in LABS]
    _, specs = lacking(every)
    planned = sum(answer.wanted for answer in every)
    assert len(specs) < planned
    assert len({spec.model_copy(update={"name": "", "tags": ()}) for spec in specs}) == len(specs)


def test_bars_are_compared_with_the_best_run(save: Save, ask: Ask) -> None:
    assert ask("lab2-bn").bar_reached is None
    for spec, acc in zip(specs("lab2-bn"), (0.68, 0.71), strict=True):
        save(spec, acc)
    assert ask("lab2-bn").bar_reached is True
    assert ask("lab1-baseline").lab.bar == 0.65


def test_the_time_left_is_guessed_from_like_runs(save: Save, ask: Ask, tmp_path: Path) -> None:
    answer = ask("lab2-bn")
    assert seconds_needed([answer], []) is None
    save(RunSpec(epochs=2), 0.5)  # 10 s per epoch
    runs = Runs(tmp_path / "runs").all()
    assert seconds_needed([answer], runs) == pytest.approx(2 * 30 * 10.0)
    specs = [arm.spec("lab2-bn", answer.scale, data="data") for arm in answer.lab.arms]
    queued = [Pace(runs, by_data=False).seconds_left(spec) for spec in specs]
    assert queued == [300.0, 300.0], "the queue and the lab estimate alike"


def test_an_imported_run_sets_no_pace(save: Save, tmp_path: Path) -> None:
    save(RunSpec(epochs=2), 0.5)
    net = save(RunSpec(epochs=100, tags=("imported",)), 0.5)
    net.write_summary(read_run(net.path).summary.model_copy(update={"seconds": 0.0}))
    pace = Pace(Runs(tmp_path / "runs").all(), by_data=False)
    assert pace.seconds_left(RunSpec(epochs=30)) == 300.0


def test_epochs_to_the_goal_are_counted_from_the_curve(save: Save, ask: Ask) -> None:
    plain, bn, dropout = specs("lesson-bn-dropout")
    for spec, first in ((plain, 8), (bn, 3), (dropout, 99)):
        folder = save(spec, 0.5)
        for epoch in range(first, 31):
            tell(folder, {"event": "epoch", "epoch": epoch, "val_acc": 0.61})
    answer = ask("lesson-bn-dropout")
    assert [row.mean for row in answer.rows] == [8.0, 3.0, 31.0]
    assert answer.word == "yes"


def test_small_weights_are_read_from_the_checkpoint(save: Save, ask: Ask) -> None:
    import torch

    def weights(folder: RunFolder, small: int) -> None:
        values = torch.ones(10)
        values[:small] = 1e-4
        state = {"fc1.weight": values.view(2, 5), "fc1.bias": torch.zeros(5)}
        torch.save({"state_dict": state, "epoch": 1, "lr": 0.1}, folder.best)

    for spec, small in zip(specs("lesson-sparsity"), (9, 1), strict=True):
        weights(save(spec), small)
    answer = ask("lesson-sparsity")
    assert [row.mean for row in answer.rows] == [0.9, 0.1]
    assert answer.word == "yes?", "nobody knows how far seeds vary in this"
    assert "not known for this measure" in answer.verdict
    assert "±" not in answer.verdict
    for spec, small in zip(specs("lesson-sparsity", seed=1), (8, 2), strict=True):
        weights(save(spec), small)
    assert ask("lesson-sparsity").word == "yes"


def test_full_settings_are_planned_in_full() -> None:
    scale = Scale()
    for lab in LABS:
        for arm in lab.arms:
            spec = arm.spec(lab.name, scale)
            assert (spec.subset, spec.precision, spec.seed) == (0, "fp32", 0)
            assert spec.epochs == arm.epochs
    assert BY_NAME["lab3-best"].arms[0].epochs == 200


def test_epochs_among_accuracies_have_their_unit() -> None:
    (lesson,) = find_labs("lesson-bn-dropout")
    assert lesson.measure.show_with_unit(3.0) == "3.0 ep"
    assert lesson.measure.show_with_unit(None) == "-"
