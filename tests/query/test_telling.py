"""What tells runs apart, and what they share."""

from typing import Any

import pytest

from cifar_tui.query.fields import Line
from cifar_tui.query.telling import shared, telling
from cifar_tui.runs.listing import read_run
from cifar_tui.spec.grid import make_grid
from cifar_tui.spec.naming import given_name
from cifar_tui.spec.settings import RunSpec
from tests.apps import SaveRun
from tests.apps import save_run as save_run


def names(lines: list[Line]) -> list[str]:
    return [field.name for field in telling(lines)]


@pytest.fixture
def lines(save_run: SaveRun) -> Any:
    """Lines of runs with these settings."""

    def make(*settings: dict[str, Any]) -> list[Line]:
        return [Line(read_run(save_run(**values).path)) for values in settings]

    return make


def test_what_has_the_most_values_comes_first_and_seeds_last(lines: Any) -> None:
    found = lines(
        *({"lr": lr, "seed": seed, "batch_norm": lr > 0.1} for lr in (0.1, 0.2) for seed in (0, 1)),
        {"lr": 0.3, "seed": 2, "batch_norm": True},
    )
    assert names(found) == ["lr", "batch_norm", "seed"]


def test_what_all_share_is_said_without_the_defaults(lines: Any) -> None:
    found = lines({"lr": 0.1, "epochs": 5}, {"lr": 0.2, "epochs": 5})
    assert shared(found) == "simplenn epochs 5"
    assert shared(lines({"model": "resnet", "depth": 8})) == "resnet8 epochs 2"
    assert shared([]) == ""


def test_a_default_that_is_not_in_force_everywhere_does_not_vary(lines: Any) -> None:
    assert names(lines({"augment": True}, {"augment": False})) == ["augment"]
    found = lines({"augment": True, "crop_padding": 2}, {"augment": False})
    assert names(found) == ["augment", "crop_padding"]


def test_unreadable_runs_are_left_out(lines: Any, save_run: SaveRun) -> None:
    broken = save_run()
    (broken.path / "summary.json").write_text("{")
    found = [*lines({"lr": 0.1}), Line(read_run(broken.path))]
    assert (names(found), shared(found)) == ([], "simplenn lr 0.1 epochs 2") or shared(
        found
    ) == "simplenn epochs 2 lr 0.1"


def test_a_name_made_from_the_settings_was_not_given() -> None:
    grid = make_grid({"lr": "0.1,0.01", "seed": "0,1", "batch_norm": "yes"})
    assert [given_name(spec.name, spec) for spec in grid] == [""] * 4
    long = make_grid(
        {"decay_every": "5,6", "schedule": "step", "val_batch_size": "50,60"}
        | {"decay_factor": "0.5,0.25", "momentum": "0.8,0.7"}
    )
    assert [given_name(spec.name, spec) for spec in long] == [""] * 16
    assert given_name("simplenn lr 0.3", RunSpec(lr=0.1)) == "simplenn lr 0.3"
    assert given_name("mine", RunSpec(name="mine")) == "mine"
    assert given_name("simplenn", RunSpec()) == ""
