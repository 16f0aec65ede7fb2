"""The file that is handed in: what is written, and what is accepted when read back."""

from pathlib import Path

import pytest

from cifar_tui.errors import UserError
from cifar_tui.features.predict.core import (
    check_output,
    default_name,
    output_path,
    read_predictions,
    write_predictions,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "predictions.csv"


def test_rows_are_written_in_order_with_line_feeds(file: Path) -> None:
    write_predictions(file, [3, 0, 9])
    assert file.read_bytes() == b"Id,Label\n0,3\n1,0\n2,9\n"
    assert read_predictions(file) == [3, 0, 9]
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("text", ["Id,Label\r\n0,3\r\n1,0\r\n", "Id,Label\n0,3\n1,0"])
def test_other_line_ends_are_read(file: Path, text: str) -> None:
    file.write_bytes(text.encode())
    assert read_predictions(file) == [3, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must begin with the line Id,Label"),
        ("0,3\n1,0\n", "must begin with the line Id,Label"),
        ("Id,Label\n1,3\n", "line 2 must be 0 and a label"),
        ("Id,Label\n0,3\n0,3\n", "line 3 must be 1 and a label"),
        ("Id,Label\n0,3\n2,3\n", "line 3 must be 1 and a label"),
        ("Id,Label\n0,10\n", "line 2 must be"),
        ("Id,Label\n0,-1\n", "line 2 must be"),
        ("Id,Label\n0,3.0\n", "line 2 must be"),
        ("Id,Label\n0,cat\n", "line 2 must be"),
        ("Id,Label\n0,٣\n", "line 2 must be"),
        ("Id,Label\n0,3,3\n", "line 2 must be"),
        ("Id,Label\n0\n", "line 2 must be"),
        ("Id,Label\n\n0,3\n", "line 2 must be"),
    ],
)
def test_a_wrong_line_is_named(file: Path, text: str, words: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        read_predictions(file)


def test_a_file_that_is_too_long_is_called_so(file: Path) -> None:
    write_predictions(file, [7] * 2_000_000)
    with pytest.raises(UserError, match=r"larger than .* predictions are not that long"):
        read_predictions(file)


def test_what_is_no_text_or_not_there_is_said(file: Path) -> None:
    with pytest.raises(UserError, match="No such file or directory"):
        read_predictions(file)
    file.write_bytes(b"\x80\x81")
    with pytest.raises(UserError, match="is not a text file"):
        read_predictions(file)


def test_the_default_name_tells_the_demo_set() -> None:
    assert default_name(False) == "predictions.csv"
    assert output_path(None, True) == Path("predictions-demo.csv")
    assert output_path(Path("a/b.csv"), True) == Path("a/b.csv")


def test_an_existing_file_needs_a_decision(file: Path) -> None:
    check_output(file, overwrite=False)
    file.touch()
    check_output(file, overwrite=True)
    with pytest.raises(UserError, match="--overwrite"):
        check_output(file, overwrite=False)


def test_a_link_to_nowhere_is_not_followed(file: Path) -> None:
    file.symlink_to(file.parent / "elsewhere")
    with pytest.raises(UserError, match="no regular file"):
        check_output(file, overwrite=True)
