"""Groups of runs that share settings: the spread of a figure over seeds."""

from collections.abc import Callable
from typing import Any

import pytest

from cifar_tui.errors import UserError
from cifar_tui.query.fields import FIELDS, Line
from cifar_tui.query.filter import parse
from cifar_tui.query.groups import find_groups, find_metric, group_runs, sorted_groups
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from tests.apps import save_run as save_run

Save = Callable[..., RunFolder]
LR_BN = [FIELDS["lr"], FIELDS["batch_norm"]]


@pytest.fixture
def runs(save_run: Save) -> list[Run]:
    """Three seeds of one setting, one of another, one that has no figure yet."""

    def saved(*accs: float, **settings: Any) -> Run:
        return read_run(save_run(accs, **settings).path)

    return [
        saved(0.2, 0.70, 0.60, lr=0.1, batch_norm=True, seed=0),
        saved(0.2, 0.72, 0.61, lr=0.1, batch_norm=True, seed=1),
        saved(0.2, 0.74, 0.50, lr=0.1, batch_norm=True, seed=2),
        saved(0.75, lr=0.01),
        saved(lr=0.1, batch_norm=True, seed=3, status="queued"),
        saved(model="resnet", lr=0.1),
    ]


def test_a_group_has_the_spread_over_its_seeds_and_the_best_mean_is_first(runs: list[Run]) -> None:
    groups = group_runs(map(Line, runs), LR_BN, FIELDS["val_acc"])
    assert [group.title for group in groups] == [
        "lr 0.01 no bn",
        "lr 0.1 bn",
        "lr 0.1",
    ]
    assert groups[1].words() == ("lr 0.1 bn  n 3  mean 0.7200 std 0.0200 min 0.7000 max 0.7400")
    assert groups[0].words() == "lr 0.01 no bn  n 1  mean 0.7500 std - min 0.7500 max 0.7500"
    assert (groups[2].n, groups[2].mean) == (0, None)
    assert len(groups[1].runs) == 4
    assert [group.short_title for group in groups] == ["lr 0.01 no bn", "lr 0.1 bn", "lr 0.1"]


def test_the_last_epochs_figure_and_losses_rank_by_the_smallest(runs: list[Run]) -> None:
    last = group_runs(map(Line, runs), LR_BN, FIELDS["last_val_acc"])[1]
    assert last.mean == pytest.approx(0.57)
    losses = group_runs(map(Line, runs), LR_BN, FIELDS["val_loss"])
    assert losses[0].title == "lr 0.01 no bn"
    assert losses[0].mean == pytest.approx(1.25)


def test_a_group_says_which_filter_finds_its_runs(runs: list[Run]) -> None:
    for group in group_runs(map(Line, runs), LR_BN, FIELDS["val_acc"]):
        found = parse(group.query).found(map(Line, runs))
        assert [line.run for line in found] == list(group.runs)


def test_groups_sort_by_any_figure_or_their_settings(runs: list[Run]) -> None:
    groups = group_runs(map(Line, runs), LR_BN, FIELDS["val_acc"])
    by_n = sorted_groups(groups, "n", True)
    assert [group.n for group in by_n] == [3, 1, 0]
    by_lr = sorted_groups(groups, "group", False)
    assert [group.settings["lr"] for group in by_lr] == [0.01, 0.1, 0.1]
    with pytest.raises(UserError, match="Groups sort by group, n, mean"):
        sorted_groups(groups, "lr", True)


def test_demo_runs_are_never_in_one_group_with_others(runs: list[Run], save_run: Save) -> None:
    folder = save_run((0.9,), lr=0.01)
    folder.write_summary(read_run(folder.path).summary.model_copy(update={"source": "demo"}))
    groups = group_runs(
        map(Line, [*runs, read_run(folder.path)]), [FIELDS["lr"]], FIELDS["val_acc"]
    )
    assert [group.title for group in groups] == ["lr 0.01 demo", "lr 0.01", "lr 0.1"]
    assert groups[0].to_dict()["synthetic"] is True


def test_a_net_with_its_depth_has_the_name_people_know(runs: list[Run]) -> None:
    by = find_groups(["model", "depth"])
    assert {group.title for group in group_runs(map(Line, runs), by, FIELDS["val_acc"])} == {
        "simplenn",
        "resnet20",
    }


@pytest.mark.parametrize(
    ("find", "sentence"),
    [
        (lambda: find_groups(["lr", "val_acc"]), "val_acc was measured; runs are grouped"),
        (lambda: find_groups(["lrr"]), "did you mean lr"),
        (lambda: find_metric("model"), "model is no number"),
    ],
)
def test_what_cannot_be_grouped_is_one_sentence(find: Callable[[], object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        find()
