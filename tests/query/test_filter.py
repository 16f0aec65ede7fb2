"""What a filter over the list of runs lets through, and what is said of one that means nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.query.fields import FIELDS, Line, settings_text
from cifar_tui.query.filter import parse, parse_typed, term_text
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Run, read_run
from cifar_tui.runs.notes import annotate
from cifar_tui.spec.settings import RunSpec
from tests.apps import save_run as save_run

Save = Callable[..., RunFolder]


def finds(query: str, run: Run) -> bool:
    return parse(query).matches(Line(run))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of ResNet-20 with a name, tags and a note of the user's."""
    spec = RunSpec(name="Lab3 first", model="resnet", lr=0.1, tags=("night", "gpu"))
    path = RunFolder.create(tmp_path, spec).path
    annotate(path, note="Better than HOPED")
    return read_run(path)


@pytest.fixture
def trained(save_run: Save) -> Run:
    """A SimpleNN with batch norm: val_acc 0.7 at the best of three epochs, 0.6 at the last."""
    folder = save_run((0.5, 0.7, 0.6), batch_norm=True, lr=0.05, seed=3, tags=("bad day",))
    stamp = datetime.now() - timedelta(hours=5)
    path = folder.path.rename(folder.path.with_name(f"{stamp:%Y%m%d-%H%M%S}-000000-x"))
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
        ('"lab3 first"', True),
        ('"first lab3"', False),
        ('-"lab3 first"', False),
    ],
)
def test_all_words_must_occur_and_those_with_a_minus_must_not(
    run: Run, query: str, found: bool
) -> None:
    assert finds(query, run) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("lr>=0.05", True),
        ("lr>0.05", False),
        ("lr = 0.05", True),
        ("lr==5e-2", True),
        ("lr!=0.05", False),
        ("lr=0.1,0.05", True),
        ("-lr=0.1,0.05", False),
        ("learning-rate<0.1", True),
        ("val_acc>0.65", True),
        ("val_acc=0.7000", True),
        ("val_acc>65%", True),
        ("val_acc>65", True),
        ("val_acc>75", False),
        ("val_acc=70", True),
        ("last_val_acc>0.65", False),
        ("parameters>80k", True),
        ("bn", True),
        ("-bn", False),
        ("BN=yes", True),
        ("batch_norm=off", False),
        ("bn!=no", True),
        ("aug", False),
        ("-pinned", True),
        ("model=simplenn", True),
        ("model=resnet,simplenn", True),
        ("model:simple", True),
        ("status=finished", True),
        ("status!=finished,stopped", False),
        ('tag="bad day"', True),
        ("tag:bad", False),
        ("-tags='bad day'", False),
        ("-tag=worse", True),
        ("note=-", True),
        ("tag=-", False),
        ("depth=-", True),
        ("depth=20", False),
        ("depth>2", False),
        ("-depth>2", True),
        ("time>10s", True),
        ("time>=1h", False),
        ("time<1:00:00", True),
        ("age<2d", True),
        ("age>4h", True),
        ("age=5h", True),
        ("age<1h30m", False),
        ("started>=2020-01-01", True),
        ("started<2020", False),
        ("bn lr>=0.05 -tag:worse val_acc>0.6 status=finished", True),
        ("bn lr>=0.05 -tag:worse val_acc>0.8 status=finished", False),
    ],
)
def test_terms_compare_any_field(trained: Run, query: str, found: bool) -> None:
    assert finds(query, trained) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("started=2026-11-20", True),
        ("started>2026-11-20", False),
        ("started<=2026-11-20", True),
        ("started>2026-11-19", True),
        ("started<2026-11-20T14:31", True),
        ("started>='2026-11-20 14:31'", False),
        ("started=2026-11", True),
        ("started=2026", True),
        ("started=2026-12", False),
        ("started=today", False),
    ],
)
def test_a_date_means_all_of_its_day(tmp_path: Path, query: str, found: bool) -> None:
    path = RunFolder.create(tmp_path, RunSpec()).path
    run = read_run(path.rename(tmp_path / "20261120-143000-000000-x"))
    assert finds(query, run) is found


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("momentun=0.9", "There is no field 'momentun'; did you mean momentum?"),
        ("lr>fast", "lr must be a number; got 'fast'."),
        ("lr>", "lr> needs a number."),
        ("bn model=", "model= needs one of simplenn, resnet."),
        ("bn=maybe", "batch_norm must be yes or no; got 'maybe'."),
        ("status=finnished", "status is never 'finnished'; did you mean finished?"),
        ("model=vgg", "model must be one of simplenn, resnet; got 'vgg'."),
        ("name<b", "name has no order; use = or : instead of <."),
        ("age<soon", "age must be a length of time like 45m, 3h, 2d or 1w; got 'soon'."),
        ("time>long", "time must be a length of time like 90, 5m, 1h30m or 1:30:00; got 'long'."),
        ("=0.1", "'=0.1' needs a field before it, like lr=0.1."),
        (
            "started>2026-13-01",
            "started must be a date like 2026-11-20 or 2026-11-20T14:30, or today; "
            "got '2026-13-01'.",
        ),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(query: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(query)
    assert str(caught.value) == sentence


def test_what_is_still_typed_leaves_the_other_terms_in_force(trained: Run) -> None:
    typed = parse_typed("bn val_acc>")
    assert typed.problem == "val_acc> needs a share like 0.7, or a percentage like 70."
    assert typed.matches(Line(trained))
    assert not parse_typed("-bn val_acc>").matches(Line(trained))
    assert parse_typed("bn val_a").terms[-1].opening


def test_the_id_is_searched(run: Run) -> None:
    assert finds(run.id, run)


def test_a_word_does_not_run_from_one_field_into_the_next(run: Run) -> None:
    assert not finds("nightgpu", run)


def test_demo_runs_and_only_they_are_found_by_demo(run: Run) -> None:
    assert not finds("demo", run)
    summary = run.summary.model_copy(update={"source": "demo"})
    assert finds("demo", Run(run.path, summary, run.notes, run.spec))


@pytest.mark.parametrize("name", ["lr", "batch_norm", "model", "depth", "tag", "name", "note"])
def test_a_value_can_be_written_as_the_term_that_finds_it(
    run: Run, trained: Run, name: str
) -> None:
    for wanted, other in ((run, trained), (trained, run)):
        text = term_text(FIELDS[name], FIELDS[name].value(wanted))
        assert finds(text, wanted), text
        assert finds(text, other) is (FIELDS[name].value(wanted) == FIELDS[name].value(other))


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
    assert finds("unreadable missing -lr>0 -bn", run)
