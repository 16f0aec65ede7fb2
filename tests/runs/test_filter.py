"""What a filter over the list of runs lets through."""

from pathlib import Path

import pytest

from cifar_tui.runs.fields import settings_text
from cifar_tui.runs.filter import matches, searchable
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, annotate, read_run
from cifar_tui.spec import RunSpec


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of ResNet-20 with a name, tags and a note of the user's."""
    spec = RunSpec(name="Lab3 first", model="resnet", lr=0.1, tags=("night", "gpu"))
    path = RunFolder.create(tmp_path, spec).path
    annotate(read_run(path), note="Better than HOPED")
    return read_run(path)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", True),
        ("   ", True),
        ("lab3", True),
        ("LAB3 night", True),
        ("night lab3", True),
        ("lab3 day", False),
        ("resnet20 0.1", True),
        ("hoped", True),
        ("queued", True),
        ("finished", False),
        ("-finished", True),
        ("-night", False),
        ("lab3 -gpu", False),
        ("lab3 -", True),
        ("-", True),
    ],
)
def test_all_words_must_occur_and_those_with_a_minus_must_not(
    run: Run, query: str, found: bool
) -> None:
    assert matches(searchable(run), query) is found


def test_the_id_is_searched(run: Run) -> None:
    assert matches(searchable(run), run.id)


def test_a_word_does_not_run_from_one_field_into_the_next(run: Run) -> None:
    assert not matches(searchable(run), "nightgpu")


def test_demo_runs_and_only_they_are_found_by_demo(run: Run) -> None:
    assert not matches(searchable(run), "demo")
    summary = run.summary.model_copy(update={"source": "demo"})
    assert matches(searchable(Run(run.path, summary, run.notes, run.spec)), "demo")


def test_settings_are_what_differs_from_the_defaults(tmp_path: Path) -> None:
    def text(**settings: object) -> str:
        spec = RunSpec.model_validate(settings)
        return settings_text(read_run(RunFolder.create(tmp_path, spec).path))

    assert text() == "simplenn"
    assert text(batch_norm=True, lr=0.1) == "bn lr 0.1"
    assert text(model="resnet", depth=38, lr=0.1) == "resnet38 lr 0.1"


def test_an_unreadable_run_is_found_by_its_problem(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = read_run(tmp_path / "empty")
    assert "summary.json is missing" in settings_text(run)
    assert matches(searchable(run), "unreadable missing")
