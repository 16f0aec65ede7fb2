"""Several values in a setting make one run for each combination."""

import pytest

from cifar_tui.errors import UserError
from cifar_tui.spec.grid import alternatives, as_texts, grid_errors, grid_size, make_grid
from cifar_tui.spec.settings import RunSpec


def test_a_grid_has_every_combination_and_names_what_varies() -> None:
    specs = make_grid({"batch_norm": "no, yes", "lr": "0.01, 0.1"})
    assert [(s.batch_norm, s.lr) for s in specs] == [
        (False, 0.01),
        (False, 0.1),
        (True, 0.01),
        (True, 0.1),
    ]
    assert [s.name for s in specs][2:] == ["simplenn bn lr 0.01", "simplenn bn lr 0.1"]
    assert len({s.name for s in specs}) == 4


def test_commas_in_a_list_setting_are_one_value() -> None:
    assert grid_size({"milestones": "90,140"}) == 1
    specs = make_grid({"milestones": "90,140; 10,20", "schedule": "milestones"})
    assert [s.milestones for s in specs] == [(90, 140), (10, 20)]


def test_the_wrong_value_of_several_is_named() -> None:
    errors = grid_errors({"lr": "0.1, fast", "model": "resnet"})
    assert list(errors) == ["lr"]
    assert "fast" in errors["lr"]


def test_a_grid_that_is_too_large_is_refused_with_its_size() -> None:
    many = ",".join(str(i) for i in range(40))
    with pytest.raises(UserError, match="1,600 runs"):
        make_grid({"seed": many, "l2": ",".join(f"{i}e-6" for i in range(40))})


def test_a_spec_survives_the_form() -> None:
    spec = RunSpec(model="resnet", lr=0.05, l2=0, milestones=(3, 9), tags=("a", "b"), flip=False)
    assert make_grid(as_texts(spec)) == [spec]


def test_a_value_given_twice_makes_one_run() -> None:
    texts = {"lr": "0.1, 0.10, 1e-1, 0.2", "schedule": "step,cosine,cosine", "augment": "no,off"}
    assert grid_size(texts) == 4
    specs = make_grid(texts)
    assert [(spec.lr, spec.schedule) for spec in specs] == [
        (lr, schedule) for lr in (0.1, 0.2) for schedule in ("step", "cosine")
    ]


def test_what_has_no_effect_may_be_wrong() -> None:
    texts = {"schedule": "none, cosine", "decay_every": "cos", "lr": "0.1"}
    assert grid_errors(texts) == {}
    assert [spec.decay_every for spec in make_grid(texts)] == [RunSpec().decay_every] * 2
    assert list(grid_errors({**texts, "schedule": "none, step"})) == ["decay_every"]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("seed", "0-4", ["0", "1", "2", "3", "4"]),
        ("seed", "0..2, 7", ["0", "1", "2", "7"]),
        ("depth", "8..32 step 6", ["8", "14", "20", "26", "32"]),
        ("lr", "1e-3..1e-1 log 5", ["0.001", "0.003162", "0.01", "0.03162", "0.1"]),
        ("momentum", "0..0.9 4", ["0", "0.3", "0.6", "0.9"]),
        ("lr", "0.1, 0.2..0.4 2", ["0.1", "0.2", "0.4"]),
        ("name", "0-4", ["0-4"]),
    ],
)
def test_a_range_stands_for_its_values(name: str, text: str, values: list[str]) -> None:
    assert alternatives(name, text) == values


@pytest.mark.parametrize(
    ("name", "text"),
    [("lr", "1e-3..1e-1"), ("lr", "0..1 log 3"), ("seed", "4..0"), ("lr", "0.1..0.2 1")],
)
def test_a_range_that_is_none_is_refused_with_how_one_is_written(name: str, text: str) -> None:
    error = grid_errors({name: text})[name]
    assert text in error
    assert "A range is written" in error


def test_a_range_of_very_many_values_is_refused_at_once() -> None:
    assert "at most 1,000" in grid_errors({"seed": "0-999999999"})[""]
    assert "A range is written" in grid_errors({"lr": "0.1..0.2 999999999"})["lr"]
