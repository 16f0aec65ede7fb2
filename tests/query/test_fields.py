"""Fields: every setting, figure and note of a run by name."""

from collections.abc import Callable
from typing import Any

import pytest

from cifar_tui.errors import UserError
from cifar_tui.query.fields import FIELDS, find_field, varying
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.spec.checks import SETTINGS
from tests.apps import save_run as save_run

Save = Callable[..., RunFolder]


def saved(save_run: Save, *arguments: Any, **settings: Any) -> Run:
    return read_run(save_run(*arguments, **settings).path)


def test_every_setting_is_a_field() -> None:
    assert set(SETTINGS) - {"tags"} <= set(FIELDS)


def test_figures_are_those_of_the_best_epoch_unless_the_last_are_asked_for(save_run: Save) -> None:
    run = saved(save_run, (0.5, 0.7, 0.6))
    assert FIELDS["val_acc"].text(run) == "0.7000"
    assert FIELDS["last_val_acc"].text(run) == "0.6000"
    assert FIELDS["best_epoch"].text(run) == "2"


def test_a_setting_without_effect_has_no_value(save_run: Save) -> None:
    plain, decayed = saved(save_run), saved(save_run, schedule="step")
    assert FIELDS["decay_factor"].value(plain) is None
    assert FIELDS["decay_factor"].text(plain) == "-"
    assert FIELDS["decay_factor"].value(decayed) == 0.1


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("bn", "batch_norm"), ("batch-norm", "batch_norm"), ("LR", "lr"), ("acc", "val_acc")],
)
def test_fields_are_found_by_the_words_people_use(typed: str, meant: str) -> None:
    assert find_field(typed).name == meant


def test_a_misspelt_field_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'momentun'.*did you mean momentum"):
        find_field("momentun")


def test_what_varies_in_some_runs(save_run: Save) -> None:
    runs = [saved(save_run, lr=lr, seed=seed) for lr, seed in ((0.1, 0), (0.01, 1))]
    assert [field.name for field in varying(runs)] == ["seed", "lr"]
    assert varying(runs[:1]) == []


def test_what_merely_has_no_effect_in_some_runs_does_not_vary(save_run: Save) -> None:
    runs = [saved(save_run, augment=augment) for augment in (True, False)]
    assert [field.name for field in varying(runs)] == ["augment"]
