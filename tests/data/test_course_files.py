"""The course's folder and zips: what is read, and one sentence for everything that is wrong."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cifar_tui.data.dataset import describe
from cifar_tui.data.find import find
from cifar_tui.data.loading import open_dataset
from cifar_tui.errors import UserError

COUNTS = {"train": 30, "val": 20, "test": 10}


def write_course(folder: Path) -> dict[str, np.ndarray]:
    """A small folder in the course's layout; returns its arrays by file name."""
    rng = np.random.default_rng(3)
    arrays = {}
    for split, count in COUNTS.items():
        shape = (count, 32, 32, 3)
        arrays[f"{split}-images-batch.npy"] = rng.integers(0, 256, shape, np.uint8)
    arrays["train-labels-batch.npy"] = np.arange(30) % 10
    arrays["val-labels-batch.npy"] = (np.arange(20) % 10).astype(np.uint8)
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / name, array)
    return arrays


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_course(tmp_path / "images")
    return tmp_path / "images"


def refusal(where: object) -> str:
    with pytest.raises(UserError) as caught:
        open_dataset(str(where))
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def zip_folder(folder: Path, inside: str = "") -> None:
    """Move the .npy files into the two zips the course hands out."""
    for path in sorted(folder.glob("*.npy")):
        which = "test" if path.name.startswith("test") else "trainval"
        with zipfile.ZipFile(folder / f"cifar10_{which}_F22.zip", "a") as archive:
            archive.write(path, inside + path.name)
        path.unlink()


def test_reads_the_arrays_as_they_are(folder: Path) -> None:
    arrays = write_course(folder)
    dataset = open_dataset(str(folder))
    assert (dataset.source, dataset.folder, dataset.synthetic) == ("course", folder, False)
    assert dataset.classes == ()
    for name, split in dataset.splits.items():
        assert np.array_equal(split.images, arrays[f"{name}-images-batch.npy"])
        assert split.images.flags.c_contiguous
    for name in ("train", "val"):
        labels = dataset.splits[name].labels
        assert labels is not None and labels.dtype == np.int64
        assert np.array_equal(labels, arrays[f"{name}-labels-batch.npy"])
    assert dataset.test.labels is None


def test_find_names_the_source_without_reading_the_images(folder: Path) -> None:
    for name in COUNTS:
        (folder / f"{name}-images-batch.npy").write_bytes(b"not read")
    found = find(str(folder))
    assert (found.source, found.path) == ("course", folder)
    assert str(folder) in found.note


def test_missing_test_images_leave_an_empty_test_split(folder: Path) -> None:
    (folder / "test-images-batch.npy").unlink()
    dataset = open_dataset(str(folder))
    assert dataset.test.images.shape == (0, 32, 32, 3)
    assert describe(dataset)["splits"]["test"] == {"images": 0, "labels": False, "counts": None}


@pytest.mark.parametrize("inside", ["", "cifar10_trainval_F22/"])
def test_zips_give_the_same_dataset_as_the_folder(folder: Path, inside: str) -> None:
    before = open_dataset(str(folder)).fingerprint
    zip_folder(folder, inside)
    assert open_dataset(str(folder)).fingerprint == before
    assert sorted(path.suffix for path in folder.iterdir()) == [".zip", ".zip"]


def test_files_beside_win_over_zips(folder: Path) -> None:
    zip_folder(folder)
    np.save(folder / "val-labels-batch.npy", np.full(20, 7))
    assert set(open_dataset(str(folder)).val.labels) == {7}


def test_describe_counts_and_measures(folder: Path) -> None:
    arrays = write_course(folder)
    described = describe(open_dataset(str(folder)))
    pixels = arrays["train-images-batch.npy"] / 255
    assert described["mean"] == pytest.approx(pixels.mean((0, 1, 2)))
    assert described["std"] == pytest.approx(pixels.std((0, 1, 2)))
    assert described["splits"]["train"] == {"images": 30, "labels": True, "counts": [3] * 10}
    assert described["folder"] == str(folder)


def test_fingerprint_changes_with_one_pixel_or_label(folder: Path) -> None:
    arrays = write_course(folder)
    seen = {open_dataset(str(folder)).fingerprint}
    for name in arrays:
        changed = arrays[name].copy()
        changed.flat[0] ^= 1
        np.save(folder / name, changed)
        seen.add(open_dataset(str(folder)).fingerprint)
    assert len(seen) == 1 + len(arrays)


@pytest.mark.parametrize("name", ["train-images", "train-labels", "val-images", "val-labels"])
def test_a_part_of_the_files_is_refused_and_the_missing_one_named(folder: Path, name: str) -> None:
    (folder / f"{name}-batch.npy").unlink()
    with pytest.raises(UserError, match=f"lacks {name}-batch.npy"):
        find(str(folder))


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("train-images", np.zeros((30, 32, 32, 3), np.float32), "float32"),
        ("train-images", np.zeros((30, 3, 32, 32), np.uint8), r"(30, 3, 32, 32)"),
        ("train-images", np.zeros((0, 32, 32, 3), np.uint8), "no images"),
        ("test-images", np.zeros((10, 3072), np.uint8), "(10, 3072)"),
        ("val-labels", np.zeros(19, np.int64), "19 labels for 20 images"),
        ("val-labels", np.zeros((20, 1), np.int64), "(20, 1)"),
        ("val-labels", np.zeros(20), "float64"),
        ("val-labels", np.full(20, 10), "10 to 10"),
        ("val-labels", np.full(20, -1), "-1 to -1"),
        ("val-labels", np.full(20, 1 << 63, np.uint64), "0 to 9"),
    ],
)
def test_wrong_arrays_are_refused_by_name(
    folder: Path, name: str, array: np.ndarray, words: str
) -> None:
    np.save(folder / f"{name}-batch.npy", array)
    text = refusal(folder)
    assert f"{name}-batch.npy" in text and words in text


@pytest.mark.parametrize("zipped", [False, True])
def test_a_truncated_file_is_refused(folder: Path, zipped: bool) -> None:
    path = folder / "val-images-batch.npy"
    for keep in (0, 5, 100, 5_000):
        write_course(folder)
        path.write_bytes(path.read_bytes()[:keep])
        if zipped:
            zip_folder(folder)
        assert "val-images-batch.npy is cut short" in refusal(folder)
        for archive in folder.glob("*.zip"):
            archive.unlink()


class Bomb:
    def __reduce__(self) -> tuple:
        return Path.mkdir, (Path("unpickled"),)


@pytest.mark.parametrize("whole_file", [False, True])
def test_pickles_are_never_loaded(
    folder: Path, whole_file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    path = folder / "train-labels-batch.npy"
    if whole_file:
        path.write_bytes(pickle.dumps(Bomb()))
    else:
        np.save(path, np.array([Bomb()] * 30, object), allow_pickle=True)
    assert "train-labels-batch.npy" in refusal(folder)
    assert not (folder / "unpickled").exists()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("count", [31, 10**10, 10**14])
def test_a_header_that_promises_too_much_is_refused(folder: Path, count: int, zipped: bool) -> None:
    header = {"descr": "<i8", "fortran_order": False, "shape": (count,)}
    with (folder / "train-labels-batch.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(30 * 8))
    if zipped:
        zip_folder(folder)
    assert "train-labels-batch.npy is cut short" in refusal(folder)


def test_what_is_no_regular_file_is_refused_without_opening_it(folder: Path) -> None:
    path = folder / "train-images-batch.npy"
    path.unlink()
    os.mkfifo(path)
    assert f"{path} is not a regular file" in refusal(folder)
    path.unlink()
    path.mkdir()
    assert f"{path} is not a regular file" in refusal(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(folder: Path) -> None:
    path = folder / "train-images-batch.npy"
    path.chmod(0)
    assert f"Cannot read {path}: Permission denied" in refusal(folder)


@pytest.mark.parametrize("member", ["../x.npy", "/x.npy", "a/../../x", "..\\x", "C:\\x"])
def test_a_zip_that_points_out_of_itself_is_refused(folder: Path, member: str) -> None:
    zip_folder(folder)
    with zipfile.ZipFile(folder / "cifar10_test_F22.zip", "a") as archive:
        archive.writestr(member, b"")
    text = refusal(folder)
    assert "cifar10_test_F22.zip" in text and "points out of it" in text


def test_a_broken_zip_is_refused(folder: Path) -> None:
    zip_folder(folder)
    path = folder / "cifar10_trainval_F22.zip"
    path.write_bytes(path.read_bytes()[:-30])
    assert f"{path} is not a whole zip file" in refusal(folder)


def test_a_zip_with_flipped_bytes_is_refused(folder: Path) -> None:
    zip_folder(folder)
    path = folder / "cifar10_test_F22.zip"
    whole = bytearray(path.read_bytes())
    whole[5_000] ^= 255
    path.write_bytes(whole)
    assert f"{path}: test-images-batch.npy is cut short" in refusal(folder)


def test_an_encrypted_zip_is_refused(folder: Path) -> None:
    zip_folder(folder)
    path = folder / "cifar10_test_F22.zip"
    whole = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.rindex(signature) + flags] |= 1
    path.write_bytes(whole)
    assert f"{path} is encrypted" in refusal(folder)


def test_an_absurdly_large_zip_is_refused_before_it_is_unpacked(folder: Path) -> None:
    zip_folder(folder)
    path = folder / "cifar10_test_F22.zip"
    whole = bytearray(path.read_bytes())
    sizes = whole.rindex(b"PK\x01\x02") + 24
    whole[sizes : sizes + 4] = (2_000_000_000).to_bytes(4, "little")
    path.write_bytes(whole)
    assert f"{path} unpacks to more than 1 GiB" in refusal(folder)


def test_without_data_the_demo_set_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    note = (
        "No data in ./data. Using the demo set (synthetic); "
        "`cifar-tui data download` gets CIFAR-10 (170 MB)."
    )
    assert (find("data").source, find("data").note) == ("demo", note)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".gitkeep").write_text("")
    assert (find("data").source, find("data").note) == ("demo", note)
    write_course(tmp_path / "data")
    assert find("data").source == "course"
    assert find("demo").source == "demo" and "synthetic" in find("demo").note


def test_a_folder_of_other_things_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data", "images"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("no images")
        with pytest.raises(UserError, match=rf"no CIFAR-10 images in \./{name}; .*`demo`"):
            find(name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no CIFAR-10 images in"):
        find(str(tmp_path / "empty"))


def test_any_other_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no folder .*elsewhere"):
        find(str(tmp_path / "elsewhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is not a folder"):
        find(str(tmp_path / "file"))
    with pytest.raises(UserError, match="no home folder for ~nobody-here/data"):
        find("~nobody-here/data")


def test_classes_have_the_names_that_a_file_beside_gives_them(folder: Path) -> None:
    assert open_dataset(str(folder)).classes == ()
    names = [f"class {letter}" for letter in "abcdefghij"]
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    assert open_dataset(str(folder)).classes == tuple(names)
    (folder / "classes.txt").write_text("\n".join(names[1:]))
    assert refusal(folder).endswith("must have 10 different names, one on each line; it has 9.")
