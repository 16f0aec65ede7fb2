"""predictions.csv and the file beside it, what is said of them, and whether two of them agree."""

import contextlib
import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cifar_tui.errors import UserError
from cifar_tui.files import at_home, read_json, read_small, write_output
from cifar_tui.files import check_output as check_file
from cifar_tui.spec.settings import CLASSES
from cifar_tui.text import accuracy, plain, shortened

CHANCE = 0.05
"""A difference counts when chance alone would make one as large more rarely than this."""
PAIRS_SHOWN = 6


@dataclass(frozen=True)
class Rightness:
    """Of how many images both predictions are right, only one of them, or neither."""

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float
    """McNemar's exact test, two-sided: how often chance alone gives so unequal a share."""

    def words(self) -> str:
        gap = abs(self.only_a - self.only_b)
        shown = f"{self.p:.4f}" if self.p >= 0.0001 else "below 0.0001"
        test = f"McNemar's exact test: p {shown}"
        if gap == 0:
            return f"{test}. Both are right equally often."
        better = "A" if self.only_a > self.only_b else "B"
        verdict = "could be chance" if self.p >= CHANCE else "is hardly chance"
        plural = "s" if gap > 1 else ""
        return f"{test}. {better} is right on {gap:,} more image{plural}, which {verdict}."


@dataclass(frozen=True)
class Agreement:
    """Two predictions of the same images; `pairs[a][b]` counts those that A calls a and B b."""

    a: str
    b: str
    split: str
    images: int
    equal: int
    pairs: tuple[tuple[int, ...], ...]
    right: Rightness | None
    """Where the true labels are known."""
    classes: tuple[str, ...] = ()
    synthetic: bool = False
    remark: str = ""
    """That the images are not those the runs were trained on."""

    @property
    def share(self) -> float:
        return self.equal / self.images

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"share": self.share}

    def lines(self) -> list[str]:
        """The same for people, on few lines within 66 cells but for the verdict."""
        synthetic = " (synthetic)" if self.synthetic else ""
        lines = [
            f"A  {shortened(self.a)}{self._acc('only_a')}",
            f"B  {shortened(self.b)}{self._acc('only_b')}",
            f"equal labels on {self.split}{synthetic}: {self.equal:,} of {self.images:,}, "
            f"{accuracy(self.share)}",
            *filter(None, [self.remark]),
        ]
        if self.right is not None:
            right = self.right
            lines += [
                "",
                f"{'':9}{'B right':>9}{'B wrong':>9}",
                f"{'A right':9}{right.both:>9,}{right.only_a:>9,}",
                f"{'A wrong':9}{right.only_b:>9,}{right.neither:>9,}",
                right.words(),
            ]
        return [*lines, *self._pair_lines()]

    def _acc(self, only: str) -> str:
        if self.right is None:
            return ""
        right = self.right.both + getattr(self.right, only)
        return f"  {self.split}_acc {accuracy(right / self.images)}"

    def _pair_lines(self) -> list[str]:
        """Where they differ most."""
        unlike = [
            (count, a, b)
            for a, row in enumerate(self.pairs)
            for b, count in enumerate(row)
            if a != b and count
        ]
        unlike.sort(key=lambda found: (-found[0], found[1:]))
        if not unlike:
            return []
        cells = [
            f"{self._label(a)} / {self._label(b)} {count:,}" for count, a, b in unlike[:PAIRS_SHOWN]
        ]
        width = max(map(len, cells)) + 3
        half = [cells[i : i + 2] for i in range(0, len(cells), 2)]
        rows = ["".join(f"{cell:<{width}}" for cell in row).rstrip() for row in half]
        return ["", "what A / B say most often where they differ", *rows]

    def _label(self, label: int) -> str:
        return f"{label} {plain(self.classes[label])}" if self.classes else str(label)


def agree(
    names: tuple[str, str],
    labels: tuple[Sequence[int], Sequence[int]],
    split: str,
    truth: Sequence[int] | None = None,
    *,
    classes: tuple[str, ...] = (),
    synthetic: bool = False,
    remark: str = "",
) -> Agreement:
    """Lay two predictions over each other; raises UserError where they are of unlike length."""
    a, b = labels
    for one, other in ((b, "B"), (truth if truth is not None else a, "the true labels")):
        if len(a) != len(one):
            raise UserError(
                f"A has {len(a):,} labels, {other} {'has' if other == 'B' else 'are'} "
                f"{len(one):,}: these are not predictions of the same images."
            )
    if not a:
        raise UserError("There are no predictions to compare.")
    pairs = [[0] * CLASSES for _ in range(CLASSES)]
    for from_a, from_b in zip(a, b, strict=True):
        pairs[from_a][from_b] += 1
    return Agreement(
        *names,
        split=split,
        images=len(a),
        equal=sum(pairs[i][i] for i in range(CLASSES)),
        pairs=tuple(map(tuple, pairs)),
        right=None if truth is None else _rightness(a, b, truth),
        classes=classes,
        synthetic=synthetic,
        remark=remark,
    )


def _rightness(a: Sequence[int], b: Sequence[int], truth: Sequence[int]) -> Rightness:
    hits = [(x == t, y == t) for x, y, t in zip(a, b, truth, strict=True)]
    only_a, only_b = hits.count((True, False)), hits.count((False, True))
    both, neither = hits.count((True, True)), hits.count((False, False))
    return Rightness(both, only_a, only_b, neither, mcnemar(only_a, only_b))


def mcnemar(only_a: int, only_b: int) -> float:
    """Exact two-sided p of McNemar's test (1947): that a fair coin splits them so unequally."""
    tosses = only_a + only_b
    tail = sum(math.comb(tosses, i) for i in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / 2**tosses)


HEADER = "Id,Label"
LABELS = {str(label): label for label in range(CLASSES)}


def default_name(synthetic: bool) -> str:
    """`predictions.csv`, or a name that says that the images were the demo set's."""
    return "predictions-demo.csv" if synthetic else "predictions.csv"


def output_path(output: Path | None, synthetic: bool) -> Path:
    """The file asked for, `~` being the home folder; by default one in the working folder."""
    return Path(default_name(synthetic)) if output is None else at_home(output)


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse a path that cannot or must not be written, before any work is done."""
    check_file(path, overwrite, default_name(False))


def write_predictions(path: Path, labels: Sequence[int], *, overwrite: bool = True) -> None:
    """Write one row per label in one step, with LF line ends."""
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    write_output(path, f"{HEADER}\n{rows}".encode(), overwrite=overwrite)


def read_predictions(path: Path) -> list[int]:
    """The labels of a predictions file, LF or CRLF; raises UserError naming the wrong line."""
    try:
        text = read_small(path).decode().replace("\r\n", "\n")
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file; it must begin with {HEADER}.") from None
    except ValueError as error:
        raise UserError(f"{error}: predictions are not that long.") from None
    header, *rows = text.removesuffix("\n").split("\n")
    if header != HEADER:
        raise UserError(f"{path} must begin with the line {HEADER}.")
    return [_label(row, i, path) for i, row in enumerate(rows)]


def _label(row: str, i: int, path: Path) -> int:
    number, _, label = row.partition(",")
    if number != str(i) or label not in LABELS:
        raise UserError(f"{path} line {i + 2} must be {i} and a label from 0 to 9, like {i},7.")
    return LABELS[label]


def record_path(output: Path) -> Path:
    """The .json file beside the predictions."""
    path = output.with_suffix(".json")
    return path if path != output else output.with_name(f"{output.name}.json")


def check_outputs(path: Path, overwrite: bool) -> None:
    """Refuse before any work where the predictions or their record cannot be written."""
    check_output(path, overwrite)
    check_output(record_path(path), overwrite)


def drop_record(path: Path) -> None:
    """Remove the record of predictions that are about to be replaced; any other file stays."""
    record = record_path(path)
    with contextlib.suppress(OSError, ValueError):
        if read_json(record).get("sha256") == hashlib.sha256(read_small(path)).hexdigest():
            record.unlink()


@dataclass(frozen=True)
class Export:
    """What was exported: the file, from which epoch, and how often each label occurs.

    `classes` names the labels where the images came with names.
    """

    run: str
    output: str
    rows: int
    epoch: int
    val_acc: float | None
    counts: dict[str, int]
    classes: tuple[str, ...]
    synthetic: bool
    remark: str = ""
    """That the images are not those the run was trained on."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        """What was written, for people, with the label counts in two columns."""
        lines = [
            f"{self.rows:,} predictions are in {plain(self.output)}.",
            f"best val_acc {accuracy(self.val_acc)} @ {self.epoch}",
        ]
        if self.remark:
            lines.append(self.remark)
        if self.synthetic:
            lines.append("That is the demo set (synthetic): nothing to hand in.")
        return "\n".join([*lines, "", "label counts", *self._count_lines()])

    def _count_lines(self) -> list[str]:
        names = [
            f"{label} {plain(name)}".rstrip()
            for label, name in zip(self.counts, self.classes or ("",) * CLASSES, strict=True)
        ]
        width = max(map(len, names))
        counts = self.counts.values()
        cells = [f"{n:<{width}}  {count:>6,}" for n, count in zip(names, counts, strict=True)]
        half = CLASSES // 2
        return [f"{a}     {b}" for a, b in zip(cells[:half], cells[half:], strict=True)]


@dataclass(frozen=True)
class Exported:
    """What was exported, for people and programs."""

    record: dict[str, Any]
    lines: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return self.record

    def told(self) -> str:
        record = self.record
        told = (
            f"{record['rows']:,} predictions are in {plain(record['output'])}, "
            f"how they were made in {plain(record['record'])}."
        )
        if record["images"]["remark"]:
            told += f"\n{record['images']['remark']}"
        if record["synthetic"]:
            told += "\nThat is the demo set (synthetic): nothing to hand in."
        return told

    def sentence(self) -> str:
        """What was written, and what it was chosen from."""
        return "\n".join([self.told(), "", "by val_acc", *self.lines])
