"""The figures of an evaluation against ones made by hand, and what is kept of it with a run."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.features.inspect import tables as findings
from cifar_tui.features.inspect.core import (
    Evaluation,
    encoded,
    file_of,
    kept_evaluation,
)
from cifar_tui.files import fingerprint
from cifar_tui.runs.derived import write_derived
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import Summary

# Six images: true class, predicted class, its probability, the true class's probability.
HAND = [
    (0, 0, 0.95, 0.95),
    (0, 0, 0.85, 0.85),
    (0, 1, 0.95, 0.03),
    (1, 1, 0.55, 0.55),
    (1, 0, 0.60, 0.30),
    (2, 1, 0.98, 0.01),
]


def evaluation(rows: list[tuple[int, int, float, float]] = HAND, **changes: Any) -> Evaluation:
    labels, predicted, sure, true = zip(*rows, strict=True)
    values: dict[str, Any] = {"split": "val", "weights": "x", "epoch": 3, "data": "d"}
    values |= {"source": "course", "classes": (), "labels": labels, "predicted": predicted}
    values |= {"confidence": sure, "losses": tuple(-math.log(p) for p in true), "pictures": ()}
    return Evaluation.model_validate(values | changes)


def test_the_figures_are_those_made_by_hand() -> None:
    found = evaluation()
    assert found.accuracy == pytest.approx(3 / 6)
    assert found.loss == pytest.approx(-math.log(0.95 * 0.85 * 0.03 * 0.55 * 0.30 * 0.01) / 6)
    assert found.mean_confidence == pytest.approx(4.88 / 6)
    assert [row[:3] for row in found.confusion[:3]] == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert [c.recall for c in found.per_class[:4]] == [pytest.approx(2 / 3), 0.5, 0, None]
    assert [c.precision for c in found.per_class[:3]] == [
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
        None,
    ]
    assert [(p.true, p.predicted, p.images) for p in found.confused] == [
        (0, 1, 1),
        (1, 0, 1),
        (2, 1, 1),
    ]


def test_the_calibration_error_is_that_of_guo_et_al() -> None:
    found = evaluation()
    # Above 0.9: 3 images, mean confidence 0.96, 1 right. Above 0.8 to 0.9: 1, 0.85, right.
    # Above 0.5 to 0.6: 2 images (0.60 belongs to it), mean confidence 0.575, 1 right.
    by_hand = 3 / 6 * (0.96 - 1 / 3) + 1 / 6 * (1 - 0.85) + 2 / 6 * (0.575 - 0.5)
    assert found.calibration_error == pytest.approx(by_hand)
    assert [one.images for one in found.reliability] == [0, 0, 0, 0, 0, 2, 0, 0, 1, 3]
    assert found.reliability[0].accuracy is None
    assert found.verdict() == "overconfident"
    timid = evaluation([(0, 0, 0.3, 0.3)] * 10)
    assert timid.calibration_error == pytest.approx(0.7)
    assert timid.verdict() == "underconfident"
    assert evaluation([(0, 0, 1.0, 1.0)] * 10).verdict() == "well calibrated"


def test_the_worst_image_is_the_surest_wrong_one() -> None:
    worst = evaluation().worst
    assert [(one.image, one.true, one.predicted) for one in worst] == [
        (5, 2, 1),
        (2, 0, 1),
        (4, 1, 0),
    ]
    assert worst[0].probability == 0.98
    assert worst[0].probability_of_true == pytest.approx(0.01)
    said = findings.captions(worst, list("0123456789"), 40)
    assert said[0] == "#5 true 2, predicted 1 at 0.98"
    said = findings.captions(worst, ["automobile"] * 10, 36)
    assert said[0] == "automobile taken for automobile 0.98"


def test_the_captions_of_wrong_images_have_one_form() -> None:
    names = ["cat", "a cross", "automobile"] + ["x"] * 7
    said = findings.captions(evaluation().worst, names, 34)
    assert all(" taken for " in text for text in said), "one of them has no room for more"


def test_classes_without_names_are_numbers_and_all_lines_fit() -> None:
    found = evaluation()
    assert found.names == tuple("0123456789")
    named = evaluation(classes=("automobile",) * 9 + ("a\x1b[31m",))
    for one in (found, named):
        lines = [*findings.matrix_lines(one), findings.headline(one), findings.confused_line(one)]
        lines += [*findings.class_lines(one), *findings.reliability_lines(one)]
        lines += findings.cell_words(one, 0, 1)
        assert all(len(line) <= 80 and line.isprintable() for line in lines)
    assert "synthetic" in findings.headline(evaluation(source="demo"))


def test_a_net_without_mistakes_says_so() -> None:
    found = evaluation([(4, 4, 0.9, 0.9)])
    assert found.worst == []
    assert findings.confused_line(found) == "nothing is taken for anything else"


def as_run(path: Path) -> Run:
    return Run(path, Summary(id=path.name))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "best.pt").write_bytes(b"weights")
    weights = fingerprint(tmp_path / "best.pt")
    write_derived(
        tmp_path / file_of("val"),
        evaluation(weights=weights, pictures=(encoded(bytes(range(256)) * 12),)),
    )
    return tmp_path


def test_it_is_read_back_whole(run: Path) -> None:
    found = kept_evaluation(as_run(run), "val", "d")
    assert found is not None
    assert found.figures()["confusion"] == evaluation().confusion
    assert found.pixels(0) == bytes(range(256)) * 12
    assert kept_evaluation(as_run(run), "train") is None


def test_other_weights_or_other_images_make_it_stale(run: Path) -> None:
    assert kept_evaluation(as_run(run), "val", "other") is None
    assert kept_evaluation(as_run(run), "val") is not None
    (run / "best.pt").write_bytes(b"better weights")
    assert kept_evaluation(as_run(run), "val") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: b"",
        lambda kept: b"[" * 100_000,
        lambda kept: json.dumps(kept)[:-40].encode(),
        lambda kept: json.dumps(kept | {"labels": [0]}).encode(),
        lambda kept: json.dumps(kept | {"labels": [10] * 6}).encode(),
        lambda kept: json.dumps(kept | {"confidence": [float("nan")] * 6}).encode(),
        lambda kept: json.dumps(kept | {"losses": [-1.0] * 6}).encode(),
        lambda kept: json.dumps(kept | {"losses": [1e308] * 6}).encode(),
        lambda kept: json.dumps(kept | {"classes": ["one"]}).encode(),
        lambda kept: json.dumps(kept | {"pictures": ["short"]}).encode(),
        lambda kept: json.dumps(kept | {"split": "../../x"}).encode(),
        lambda kept: json.dumps({k: v for k, v in kept.items() if k != "losses"}).encode(),
    ],
)
def test_a_damaged_file_is_as_good_as_none(run: Path, damage) -> None:  # type: ignore[no-untyped-def]
    file = run / file_of("val")
    file.write_bytes(damage(json.loads(file.read_bytes())))
    assert kept_evaluation(as_run(run), "val") is None


def test_a_picture_that_is_no_base64_is_black(run: Path) -> None:
    file = run / file_of("val")
    kept = json.loads(file.read_bytes())
    file.write_bytes(json.dumps(kept | {"pictures": ["\x1b" * 4096]}).encode())
    found = kept_evaluation(as_run(run), "val")
    assert found is not None
    assert found.pixels(0) == bytes(3072)
