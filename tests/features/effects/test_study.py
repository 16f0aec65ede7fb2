"""What mattered: known designs, pure noise, and everything that makes an effect hard to tell."""

import itertools
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import UserError
from cifar_tui.features.effects.study import Effect, Study, studies
from cifar_tui.features.effects.tables import about, headline, limits
from cifar_tui.runs.listing import Run
from cifar_tui.runs.record import Point, Summary
from cifar_tui.spec.settings import RunSpec


def make_run(
    acc: float | None,
    *,
    last: float | None = None,
    status: str = "finished",
    source: str = "course",
    reason: str = "",
    epochs_done: int = 10,
    **settings: Any,
) -> Run:
    spec = RunSpec(**{"epochs": 10, **settings})
    best = None if acc is None else Point(epoch=9, val_acc=acc, val_loss=2 - acc)
    summary = Summary(
        id=f"run-{next(NUMBERS)}",
        status=status,  # type: ignore[arg-type]
        reason=reason,
        source=source,
        epochs=spec.epochs,
        epochs_done=epochs_done,
        best=best,
        last=Point(epoch=10, val_acc=last) if last is not None else best,
    )
    return Run(Path(summary.id), summary, spec=spec)


NUMBERS = itertools.count()


def grid(figure: Callable[..., float], seeds: int = 2, **values: Iterable[Any]) -> list[Run]:
    """A run for each combination of values and each seed."""
    return [
        make_run(figure(**dict(zip(values, chosen, strict=True))), seed=seed + 10 * i, **settings)
        for i, chosen in enumerate(itertools.product(*values.values()))
        for seed in range(seeds)
        for settings in [dict(zip(values, chosen, strict=True))]
    ]


def only(runs: list[Run], metric: str = "val_acc") -> Study:
    (study,) = studies(runs, metric)
    return study


def by_name(study: Study) -> dict[str, Effect]:
    return {effect.setting.name: effect for effect in study.effects}


def known_design(noise: float = 0.002) -> list[Run]:
    chance = random.Random(11)

    def figure(lr: float, batch_norm: bool, l2: float) -> float:
        return 0.6 + {0.001: 0.0, 0.01: 0.05, 0.1: 0.02}[lr] + 0.03 * batch_norm + gauss()

    def gauss() -> float:
        return chance.gauss(0, noise)

    return grid(figure, lr=(0.001, 0.01, 0.1), batch_norm=(False, True), l2=(0.0, 1e-4))


def test_known_effects_are_found_in_their_order_with_their_size() -> None:
    study = only(known_design())
    lr, batch_norm, _ = study.effects
    assert [e.setting.name for e in study.effects] == ["lr", "batch_norm", "l2"]
    assert [e.found.verdict for e in study.effects] == ["clear", "clear", "could be chance"]
    assert lr.found.spread == pytest.approx(0.05, abs=0.003)
    assert (lr.best, batch_norm.best) == ("0.01", "yes")
    assert lr.found.margin is not None and 0.001 < lr.found.margin < 0.005
    assert abs(lr.found.spread - 0.05) < lr.found.margin
    assert headline(study).startswith("lr matters most: 0.05")
    assert headline(study).endswith("val_acc over 0.001..0.1; batch_norm next")
    assert about(study) == "24 runs on course images"


def test_means_with_their_interval_by_hand() -> None:
    runs = [make_run(acc, lr=0.1, seed=i) for i, acc in enumerate((0.70, 0.72, 0.74))]
    runs += [make_run(acc, lr=0.01, seed=i) for i, acc in enumerate((0.60, 0.62, 0.64))]
    low, high = only(runs).effects[0].levels
    assert (low.text, low.mean, low.sd) == ("0.01", pytest.approx(0.62), pytest.approx(0.02))
    # Student's t with 2 degrees of freedom: 4.303 * 0.02 / sqrt(3).
    assert high.margin == pytest.approx(4.303 * 0.02 / 3**0.5, rel=1e-3)
    # With 4: 2.776 * 0.02 * sqrt(2 / 3), the variance pooled.
    assert only(runs).effects[0].found.margin == pytest.approx(2.776 * 0.02 * (2 / 3) ** 0.5, 1e-3)


def test_pure_noise_is_rarely_called_clear() -> None:
    chance, clear, studied = random.Random(2), 0, 60
    for _ in range(studied):
        runs = [
            make_run(
                chance.gauss(0.7, 0.01),
                seed=i,
                lr=round(10 ** chance.uniform(-3, 0), 6),
                batch_norm=chance.random() < 0.5,
                activation=chance.choice(["relu", "swish"]),
                dropout=chance.choice([0.0, 0.1, 0.2]),
            )
            for i in range(40)
        ]
        clear += any(e.found.verdict == "clear" for e in only(runs).effects)
    assert clear <= 0.1 * studied


def test_noise_is_told_in_the_first_line() -> None:
    chance = random.Random(3)
    study = only(grid(lambda **_: chance.gauss(0.7, 0.01), 4, lr=(0.1, 0.01), flip=(True,)))
    assert headline(study) == "No setting has a clear effect on val_acc in these 8 runs."
    assert study.effects[0].found.verdict == "could be chance"


def test_an_unbalanced_design_is_adjusted_for() -> None:
    chance = random.Random(4)
    counts = {(0.1, True): 9, (0.1, False): 3, (0.01, True): 3, (0.01, False): 9}
    runs = [
        make_run(0.6 + 0.1 * bn + chance.gauss(0, 0.001), lr=lr, batch_norm=bn, seed=i)
        for (lr, bn), count in counts.items()
        for i in range(count)
    ]
    effects = by_name(only(runs))
    low, high = effects["lr"].levels
    assert high.mean is not None and low.mean is not None
    assert high.mean - low.mean == pytest.approx(0.05, abs=0.002)
    assert effects["lr"].found.spread == pytest.approx(0, abs=0.002)
    assert effects["lr"].found.verdict == "could be chance"
    assert effects["batch_norm"].found.spread == pytest.approx(0.1, abs=0.002)


def test_settings_that_change_together_cannot_be_told_apart() -> None:
    runs = [
        make_run(0.6 + 0.1 * fast + 0.001 * i, lr=0.1 if fast else 0.01, batch_norm=fast, seed=i)
        for fast in (False, True)
        for i in range(4)
    ]
    study = only(runs)
    lr = by_name(study)["lr"]
    assert lr.found.together == ("batch_norm",)
    assert by_name(study)["batch_norm"].found.spread == lr.found.spread == pytest.approx(0.1)
    sentence = "batch_norm and lr change together here: their effects cannot be told apart."
    assert sentence in limits(study)
    assert headline(study).startswith("batch_norm or lr matters most: 0.1000")
    assert " next" not in headline(study)


def test_a_setting_that_follows_from_another_is_confounded_with_it() -> None:
    pairs = ((0.1, True), (0.01, True), (0.001, False))
    runs = [
        make_run(0.6 + 0.1 * bn + 0.001 * i, lr=lr, batch_norm=bn, seed=i)
        for lr, bn in pairs
        for i in range(4)
    ]
    study = only(runs)
    effects = by_name(study)
    assert {e.found.verdict for e in effects.values()} == {"confounded"}
    assert headline(study).endswith("in these 12 runs; confounded: lr, batch_norm.")
    assert "cannot be told apart from that of lr" in effects["batch_norm"].found.why


def test_settings_of_one_model_are_compared_among_its_runs_only() -> None:
    chance = random.Random(5)
    runs = [
        make_run(0.8 + 0.02 * (depth == 32) + chance.gauss(0, 0.001), seed=i, depth=depth, **model)
        for model, depths in (({"model": "resnet"}, (20, 32)), ({"model": "simplenn"}, (20,)))
        for depth in depths
        for i in range(4)
    ]
    effects = by_name(only(runs))
    assert set(effects) == {"model", "depth"}
    assert effects["depth"].found.spread == pytest.approx(0.02, abs=0.002)
    assert effects["depth"].found.verdict == "clear"
    assert sum(len(level.figures) for level in effects["depth"].levels) == 8
    assert effects["model"].found.spread == pytest.approx(0.01, abs=0.002)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_too_few_runs_are_said_plainly(count: int) -> None:
    study = only([make_run(0.6 + 0.1 * i, lr=0.1 / (i + 1), seed=i) for i in range(count)])
    words = f"Too few runs to say what mattered: {count}, at least 5 are needed."
    assert headline(study) == words
    assert all(effect.found.verdict == "too few runs" for effect in study.effects)
    assert len(study.effects) == (1 if count > 1 else 0)


def test_one_run_per_value_leaves_the_rank_correlation() -> None:
    runs = [make_run(0.5 + 0.03 * i, lr=10.0 ** (i - 5), seed=i) for i in range(6)]
    (lr,) = only(runs).effects
    assert lr.found.rho == pytest.approx(1)
    assert lr.found.rho_p is not None and lr.found.rho_p < 0.01
    assert (lr.found.verdict, lr.found.margin) == ("clear", None)
    (word,) = only(
        [make_run(0.5 + 0.03 * i, milestones=(i + 1,), schedule="milestones") for i in range(6)]
    ).effects
    assert word.found.why == "too few runs to say: repeat them with other seeds"


def test_ties_share_their_middle_rank() -> None:
    accs = (0.5, 0.6, 0.6, 0.7, 0.7, 0.8)
    lrs = (0.1, 0.1, 0.2, 0.2, 0.3, 0.3)
    runs = [make_run(acc, lr=lr, seed=i) for i, (acc, lr) in enumerate(zip(accs, lrs, strict=True))]
    (lr,) = only(runs).effects
    # Pearson's correlation of the ranks 1, 2.5, 2.5, 4.5, 4.5, 6 and 1.5, 1.5, 3.5, 3.5, 5.5, 5.5.
    assert lr.found.rho == pytest.approx(14 / (16.5 * 16) ** 0.5)


def test_a_constant_figure_has_no_effect() -> None:
    study = only(grid(lambda **_: 0.5, 3, lr=(0.1, 0.01), batch_norm=(True, False)))
    assert {e.found.verdict for e in study.effects} == {"could be chance"}
    assert [e.found.spread for e in study.effects] == [0, 0]
    assert by_name(study)["lr"].found.rho is None
    json.dumps(study.to_dict(), allow_nan=False)


def test_many_values_of_a_number_are_taken_in_ranges() -> None:
    runs = [make_run(0.5 + i / 100, lr=(i + 1) / 100, seed=i) for i in range(20)]
    (lr,) = only(runs).effects
    assert [level.text for level in lr.levels][:2] == ["0.01..0.05", "0.06..0.1"]
    assert [len(level.figures) for level in lr.levels] == [5, 5, 5, 5]
    assert lr.range == "0.01..0.2"
    assert lr.best == "0.16..0.2"


def test_runs_that_diverged_are_counted_where_they_belong() -> None:
    runs = grid(lambda **_: 0.7, 3, lr=(0.01, 0.1))
    runs += [make_run(None, status="diverged", lr=1.0, seed=i, epochs_done=0) for i in range(3)]
    runs.append(make_run(float("nan"), status="diverged", lr=0.1, seed=9, epochs_done=1))
    runs.append(make_run(0.2, status="diverged", lr=0.1, seed=10, epochs_done=1))
    study = only(runs)
    lr = study.effects[0]
    assert [(v.text, len(v.figures), v.diverged) for v in lr.levels] == [
        ("0.01", 3, 0),
        ("0.1", 4, 2),
        ("1", 0, 3),
    ]
    assert about(study) == "7 runs on course images; 5 diverged"
    assert "All runs with lr 1 diverged, before any figure." in limits(study)
    assert lr.range == "0.01..0.1"


def test_what_does_not_count_is_named() -> None:
    runs = grid(lambda lr: 0.6 + lr, 3, lr=(0.01, 0.1))
    runs += [
        make_run(0.3, status="running", lr=0.5, epochs_done=3),
        make_run(0.3, status="stopped", lr=0.5, epochs_done=3),
        make_run(0.3, reason="imported", lr=0.5),
        make_run(None, lr=0.5),
        make_run(None, status="queued", lr=0.5, source="", epochs_done=0),
        make_run(0.7, lr=0.1, seed=10, name="again"),
        Run(Path("broken"), Summary(id="broken"), problem="summary.json is missing"),
    ]
    study = only(runs)
    assert len(study.runs) == 6
    assert about(study) == (
        "6 runs on course images; left out: 1 running, 1 stopped, 1 imported, 1 without val_acc, "
        "1 the same as another, seed and all, 1 queued, 1 unreadable"
    )


def test_demo_and_real_images_never_mix() -> None:
    real = grid(lambda lr: 0.6 + lr, 3, lr=(0.01, 0.1))
    demo = [make_run(0.9, lr=0.1, seed=i, source="demo") for i in range(9)]
    first, second = studies([*demo, *real])
    assert (first.images, len(first.runs)) == ("course", 6)
    assert (second.images, len(second.runs)) == ("demo", 9)
    assert "demo images (synthetic)" in about(second)
    assert headline(second) == "The 9 runs differ in no setting but the seed."


def test_other_figures_and_which_way_is_better() -> None:
    chance = random.Random(6)
    runs = [
        make_run(0.6, last=0.5 + 2 * lr + chance.gauss(0, 0.001), lr=lr, seed=i)
        for lr in (0.01, 0.1)
        for i in range(4)
    ]
    assert only(runs).effects[0].found.verdict == "could be chance"
    (lr,) = only(runs, "last_val_acc").effects
    assert (lr.found.verdict, lr.best) == ("clear", "0.1")
    (lr,) = only(grid(lambda lr: 0.5 + lr, 3, lr=(0.01, 0.1)), "val_loss").effects
    assert (lr.best, lr.found.verdict) == ("0.1", "clear")


@pytest.mark.parametrize("name", ["lr", "status", "nonsense"])
def test_only_figures_can_be_asked_about(name: str) -> None:
    with pytest.raises(UserError, match=name):
        studies([make_run(0.5)], name)


def test_settings_that_act_together_are_told_of() -> None:
    chance = random.Random(7)

    def figure(lr: float, batch_norm: bool) -> float:
        return 0.7 - 0.2 * (lr == 0.1 and not batch_norm) + chance.gauss(0, 0.002)

    study = only(grid(figure, 4, lr=(0.01, 0.1), batch_norm=(False, True)))
    assert study.noise.repeated == pytest.approx(0.002, abs=0.001)
    assert any("act differently together" in line for line in limits(study))
    assert not any("act differently" in line for line in limits(only(known_design())))


def test_hundreds_of_runs_at_random_give_back_what_was_put_in() -> None:
    chance, runs = random.Random(8), []
    for i in range(300):
        lr, bn = 10 ** chance.uniform(-3, 0), chance.random() < 0.5
        acc = 0.6 + 0.04 * bn + 0.02 * (lr > 0.03) + chance.gauss(0, 0.01)
        extra = {"dropout": chance.choice([0.0, 0.2]), "l2": chance.choice([0.0, 1e-4, 1e-3])}
        runs.append(make_run(acc, lr=lr, batch_norm=bn, seed=i, **extra))
    effects = by_name(only(runs))
    assert [name for name, e in effects.items() if e.found.verdict == "clear"] == [
        "batch_norm",
        "lr",
    ]
    assert effects["batch_norm"].found.spread == pytest.approx(0.04, abs=0.005)
    assert effects["lr"].found.rho is not None and effects["lr"].found.rho > 0.2
