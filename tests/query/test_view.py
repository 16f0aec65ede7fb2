"""What the list shows is remembered beside the runs, and damage falls back to the defaults."""

import json
from pathlib import Path

import pytest

from cifar_tui.query.fields import Field, Line
from cifar_tui.query.filter import complete, possible
from cifar_tui.query.view import FILTERS_KEPT, Memory, View, recall, remember
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import read_run
from cifar_tui.spec.settings import RunSpec


def test_what_was_shown_is_recalled(tmp_path: Path) -> None:
    view = View(columns=("name", "lr"), sort="val_loss", last=True, groups=("lr",), filter="bn")
    remember(tmp_path, Memory(view=view).with_filter("bn"))
    assert recall(tmp_path) == Memory(view=view, filters=("bn",))


def test_filters_are_kept_once_the_latest_first(tmp_path: Path) -> None:
    memory = Memory()
    for number in range(FILTERS_KEPT + 5):
        memory = memory.with_filter(f"lr={number}")
    memory = memory.with_filter("lr=20")
    assert memory.filters[:2] == ("lr=20", f"lr={FILTERS_KEPT + 4}")
    assert len(memory.filters) == len(set(memory.filters)) == FILTERS_KEPT


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"view": 3, "filters": ["bn"]}',
        b'{"view": {"columns": []}}',
        b'{"view": {"columns": ["name", "colour"]}}',
        b'{"view": {"sort": "colour"}}',
        b'{"view": {"groups": ["val_acc"]}}',
        b'{"view": {"metric": "model"}}',
    ],
)
def test_damage_falls_back_to_the_default_view(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".history.json").write_bytes(content)
    assert recall(tmp_path).view == View()


def test_damage_in_one_part_leaves_the_other(tmp_path: Path) -> None:
    (tmp_path / ".history.json").write_text(json.dumps({"view": 3, "filters": ["bn"]}))
    assert recall(tmp_path).filters == ("bn",)


def test_a_folder_that_takes_nothing_is_no_problem(tmp_path: Path) -> None:
    remember(tmp_path / "nowhere", Memory())
    assert recall(tmp_path / "nowhere") == Memory()


def test_the_last_epochs_figures_take_the_place_of_the_best(tmp_path: Path) -> None:
    view = View(columns=("name", "val_acc", "lr", "last_val_acc"), last=True)
    assert [field.name for field in view.shown()] == ["name", "last_val_acc", "lr"]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("val_a", "val_acc"),
        ("bn -ta", "bn -tag"),
        ("val-l", None),
        ("lr=0.0", "lr=0.05"),
        ("lr=", "lr=0.05"),
        ("lr=0.05,", None),
        ("lr=0.05", None),
        ("lr", None),
        ("status=fin", "status=finished"),
        ("status=queued,fin", "status=queued,finished"),
        ("model=r", "model=resnet"),
        ("tag:n", "tag:night"),
        ("bn=y", "bn=yes"),
        ("name='lab", "name='lab one'"),
        ("val_acc>0", None),
        ("nothing=x", None),
        ("lr ", None),
        ("", None),
        ("-", None),
    ],
)
def test_the_last_term_is_completed(tmp_path: Path, typed: str, completed: str | None) -> None:
    spec = RunSpec(lr=0.05, name="lab one", tags=("night",))
    lines = [Line(read_run(RunFolder.create(tmp_path, spec).path))]

    def values(field: Field) -> list[str]:
        return possible(field, lines)

    assert complete(typed, values) == completed


def test_two_programs_that_remember_filters_keep_both(tmp_path: Path) -> None:
    one, other = recall(tmp_path), recall(tmp_path)
    remember(tmp_path, one.with_filter("bn"))
    remember(tmp_path, other.with_filter("lr>0.1"))
    assert recall(tmp_path).filters == ("lr>0.1", "bn")
