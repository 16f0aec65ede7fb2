"""Agreement counts what it says, and McNemar's test is exact."""

import pytest

from cifar_tui.errors import UserError
from cifar_tui.features.predict.core import agree, mcnemar


def test_counts_per_pair_and_by_rightness() -> None:
    a, b = [0, 1, 1, 2, 2, 3], [0, 1, 2, 2, 3, 3]
    found = agree(("x", "y"), (a, b), "val", [0, 1, 1, 3, 3, 0])
    assert (found.images, found.equal, found.share) == (6, 4, 4 / 6)
    assert (found.pairs[1][2], found.pairs[2][3], found.pairs[2][2]) == (1, 1, 1)
    assert sum(map(sum, found.pairs)) == 6
    right = found.right
    assert right is not None
    assert (right.both, right.only_a, right.only_b, right.neither) == (2, 1, 1, 2)
    text = "\n".join(found.lines())
    assert "A  x  val_acc 0.5000" in text
    assert "equal labels on val: 4 of 6, 0.6667" in text
    assert "1 / 2 1   2 / 3 1" in text
    assert "Both are right equally often." in text


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (1, 0, 1.0),
        (6, 0, 0.03125),
        (2, 8, 0.109375),
        (10, 25, 0.016674),
        (0, 2000, 0.0),
    ],
)
def test_the_test_is_the_exact_binomial_one(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar(only_a, only_b) == pytest.approx(p, abs=1e-6)
    assert mcnemar(only_b, only_a) == mcnemar(only_a, only_b)


def test_it_says_whether_it_could_be_chance() -> None:
    def words(only_a: int, only_b: int) -> str:
        a = [0] * only_a + [1] * only_b
        b = [1] * only_a + [0] * only_b
        found = agree(("x", "y"), (a, b), "val", [0] * (only_a + only_b)).right
        assert found is not None
        return found.words()

    assert words(3, 2).endswith("A is right on 1 more image, which could be chance.")
    assert words(10, 40).endswith("B is right on 30 more images, which is hardly chance.")
    assert "p below 0.0001" in words(0, 40)


def test_lines_fit_and_hostile_names_are_shown() -> None:
    names = ("\x1b[31m" + "x" * 300, "y")
    found = agree(names, ([0] * 20_000, [1] * 20_000), "test", classes=("plane",) * 10)
    lines = found.lines()
    assert all(line.isprintable() and len(line) <= 66 for line in lines)
    assert "0 plane / 1 plane 20,000" in lines
    assert found.to_dict()["share"] == 0.0


def test_unlike_lengths_are_refused() -> None:
    with pytest.raises(UserError, match="A has 2 labels, B has 1"):
        agree(("x", "y"), ([1, 2], [1]), "test")
    with pytest.raises(UserError, match="the true labels are 3"):
        agree(("x", "y"), ([1, 2], [1, 2]), "val", [1, 2, 3])
    with pytest.raises(UserError, match="no predictions"):
        agree(("x", "y"), ([], []), "test")
