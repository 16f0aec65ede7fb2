"""One declaration per setting: values, sentences, flags and files agree with it."""

import pytest

from cifar_tui.errors import UserError
from cifar_tui.spec.checks import SETTINGS, changed, errors_of, make_spec
from cifar_tui.spec.naming import read_toml, slug, title, to_toml
from cifar_tui.spec.settings import RunSpec


def test_defaults_are_the_assignments_baseline() -> None:
    spec = RunSpec()
    assert (spec.model, spec.lr, spec.momentum, spec.l2) == ("simplenn", 0.01, 0.9, 1e-4)
    assert (spec.batch_size, spec.val_batch_size, spec.epochs) == (128, 100, 30)
    assert (spec.augment, spec.batch_norm, spec.schedule) == (False, False, "none")


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("lr", "0", "above 0"),
        ("lr", "nan", "a number"),
        ("lr", "fast", "got 'fast'"),
        ("epochs", "1.5", "a whole number"),
        ("depth", "21", "6n+2"),
        ("model", "vgg", "simplenn, resnet"),
        ("milestones", "140,90", "rising"),
        ("momentum", "1", "below 1"),
        ("device", "gpu", "cuda:N"),
        ("batch_norm", "maybe", "on or off"),
        ("name", "a\x1b[31mb", r"\x1b"),
        ("dropout", "inf", "a number"),
    ],
)
def test_a_wrong_value_gets_one_sentence_naming_the_setting(
    name: str, value: str, part: str
) -> None:
    errors = errors_of({name: value})
    assert list(errors) == [name]
    assert errors[name].startswith(name)
    assert part in errors[name]
    assert "\n" not in errors[name]
    assert "\x1b" not in errors[name]


def test_an_unknown_setting_names_the_nearest_one() -> None:
    with pytest.raises(UserError, match="did you mean batch_size"):
        make_spec({"batchsize": 3})


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(UserError, match="nesterov needs momentum"):
        make_spec({"nesterov": "yes", "momentum": "0"})


def test_every_setting_has_label_help_and_an_expectation() -> None:
    for setting in SETTINGS.values():
        assert setting.label
        assert setting.help
        assert setting.expected


def test_a_toml_file_gives_the_same_spec_back(tmp_path) -> None:
    spec = RunSpec(model="resnet", milestones="3,7", tags="a,b", name="x y", lr=0.05)
    file = tmp_path / "spec.toml"
    file.write_text(to_toml(spec))
    assert make_spec(read_toml(file)) == spec


def test_a_broken_toml_file_is_one_sentence(tmp_path) -> None:
    file = tmp_path / "spec.toml"
    file.write_text("lr = [")
    with pytest.raises(UserError, match=r"spec\.toml is not a TOML file"):
        read_toml(file)


def test_settings_without_effect_are_not_told_as_changed() -> None:
    assert changed(RunSpec(depth=32)) == {}
    assert changed(RunSpec(model="resnet", depth=32)) == {"model": "resnet", "depth": 32}
    assert changed(RunSpec(name="x", tags=("y",))) == {}


def test_titles_say_what_differs() -> None:
    assert title(RunSpec(batch_norm=True, lr=0.1)) == "simplenn bn lr 0.1"
    assert title(RunSpec(model="resnet", depth=20)) == "resnet20"
    assert title(RunSpec(name="mine", lr=0.1)) == "mine"


@pytest.mark.parametrize("text", ["../../etc/passwd", "a/b", "..", "\x1b[31m", "ü", "", "A b"])
def test_a_slug_cannot_leave_its_folder(text: str) -> None:
    made = slug(text)
    assert made
    assert "/" not in made
    assert not made.startswith(".")
    assert made.isascii()
    assert made.isprintable()
