"""Arrays, zips and archives from strangers: read, or refused; never unpacked or obeyed."""

import gzip
import io
import pickle
import pickletools
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cifar_tui.data import course_files, official
from cifar_tui.data.find import ARCHIVE, NEEDED, locate_course
from tests.hostile import a_folder, few, refusal, rubbish, search, values


def npy(header: str, data: bytes, version: int = 1) -> bytes:
    size = struct.pack("<H" if version == 1 else "<I", len(header) + 1)
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + b"\n" + data


headers = st.builds(
    lambda dtype, fortran, shape: (
        f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    ),
    st.sampled_from(
        ["|u1", "|O", "<f8", "<i8", "|V9999999", "<M8[s]", "|S0", [("\x1b", "|u1")], "x"]
    ),
    st.booleans() | st.just("1 << 9"),
    st.lists(st.integers(-2, 40) | st.sampled_from([32, 3, 10**9, 2**62, 10**30]), max_size=5).map(
        lambda shape: str(tuple(shape))
    )
    | st.sampled_from(["(2, 32, 32, 3)", "(10**9,)", "'x'", "(" * 300]),
)
arrays = rubbish | st.builds(npy, headers, st.binary(max_size=10), st.integers(1, 3))


def labels_file() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(2, dtype=np.uint8))
    return buffer.getvalue()


def images_file(order: Any = "C") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(np.zeros((2, 32, 32, 3), np.uint8), order=order))
    return buffer.getvalue()


WHOLE = {name: images_file() if "images" in name else labels_file() for name in NEEDED}


@search
@given(st.sampled_from(NEEDED), arrays, st.booleans())
@example("train-images-batch.npy", images_file("F"), False)
@example(
    "train-images-batch.npy",
    npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9000000000, 32, 32, 3), }", b""),
    True,
)
@example(
    "train-labels-batch.npy",
    npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }", b"\1\2"),
    False,
)
def test_an_array_is_read_or_refused(name: str, content: bytes, zipped: bool) -> None:
    with a_folder() as folder:
        whole = WHOLE | {name: content}
        if zipped:
            with zipfile.ZipFile(folder / "cifar10_trainval_1.zip", "w") as archive:
                for member, data in whole.items():
                    archive.writestr(member, data)
        else:
            for member, data in whole.items():
                (folder / member).write_bytes(data)
        before = set(folder.rglob("*"))
        tracemalloc.start()
        if not refusal(lambda: course_files.read(folder)):
            assert course_files.read(folder).train.images.shape == (2, 32, 32, 3)
        tracemalloc.stop()
        assert set(folder.rglob("*")) == before


members = st.tuples(
    st.sampled_from(
        [
            *NEEDED,
            "../train-images-batch.npy",
            "/etc/train-images-batch.npy",
            "C:\\train-images-batch.npy",
            "..\\..\\x",
            "\x1b[31m/train-images-batch.npy",
            "a/../../x",
        ]
    ),
    st.sampled_from([*WHOLE.values(), b"", b"/etc/passwd"]),
    st.sampled_from([0, stat.S_IFLNK | 0o777, stat.S_IFIFO | 0o600]),
    st.sampled_from([0, 1]),
)


@search
@given(st.lists(members, max_size=5), st.booleans())
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_is_read_or_refused_and_never_unpacked(
    found: list[tuple[str, bytes, int, int]], whole: bool
) -> None:
    with a_folder() as outside:
        folder = outside / "data"
        folder.mkdir()
        path = folder / "cifar10_trainval_1.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in WHOLE.items() if whole else ():
                archive.writestr(name, data)
            for name, data, mode, encrypted in found:
                info = zipfile.ZipInfo(name)
                info.external_attr = mode << 16
                archive.writestr(info, data)
                archive.infolist()[-1].flag_bits |= encrypted
        refused = refusal(lambda: locate_course(folder))
        assert refused or not any(".." in name or name[0] == "/" for name, *_ in found)
        assert refused or not any(encrypted for *_, encrypted in found)
        if not refused and locate_course(folder):
            refusal(lambda: course_files.read(folder))
        assert set(outside.rglob("*")) == {folder, path}


def batch(data: Any = None, labels: Any = (0, 1), protocol: int = 2) -> bytes:
    images = np.zeros((2, 3072), np.uint8) if data is None else data
    return pickle.dumps({b"data": images, b"labels": list(labels)}, protocol=protocol)


def nested(depth: int) -> bytes:
    """A pickle of lists within lists, deeper than any reader's stack."""
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def deep_names() -> bytes:
    return b"\x80\x02}U\x0blabel_names]" + nested(100_000)[2:-1] + b"as."


pickles = rubbish | st.one_of(
    st.builds(pickle.dumps, values, protocol=st.integers(0, 5)),
    st.builds(batch, values, protocol=st.integers(0, 4)),
    st.builds(lambda labels: batch(labels=labels), st.lists(values, max_size=3)),
    st.builds(
        lambda at, new: (
            batch()[: at % len(batch())] + new + batch()[at % len(batch()) + len(new) :]
        ),
        st.integers(0),
        st.binary(min_size=1, max_size=3),
    ),
)


@search
@given(pickles, pickles)
@example(nested(100_000), b"")
@example(batch(), deep_names())
def test_an_official_batch_is_read_or_refused(content: bytes, meta: bytes) -> None:
    with a_folder() as folder:
        for name in (*official.TRAIN, official.TEST):
            (folder / name).write_bytes(batch())
        (folder / official.TRAIN[1]).write_bytes(content)
        (folder / official.META).write_bytes(meta)
        if not refusal(lambda: official.read(folder)):
            found = official.read(folder)
            assert found.train.images.shape[1:] == (32, 32, 3)
            assert all(name.isprintable() for name in found.classes)


def test_labels_that_are_a_trillion_references_to_one_are_refused(tmp_path: Path) -> None:
    labels: Any = [1, 2]
    for _ in range(40):
        labels = [labels, labels]
    for name in (*official.TRAIN, official.TEST):
        (tmp_path / name).write_bytes(batch(labels=labels))
    assert "damaged or no batch file" in refusal(lambda: official.read(tmp_path))


def test_a_pickle_cannot_change_the_reader_or_take_its_memory(tmp_path: Path) -> None:
    for name in (*official.TRAIN, official.TEST):
        (tmp_path / name).write_bytes(batch(protocol=0))
    before = official.read(tmp_path).fingerprint
    spoil = b"\x80\x02c_codecs\nencode\nN}U\x0c__defaults__Ns\x86b."
    (tmp_path / official.TRAIN[0]).write_bytes(spoil)
    assert refusal(lambda: official.read(tmp_path))
    (tmp_path / official.TRAIN[0]).write_bytes(batch(protocol=0))
    assert official.read(tmp_path).fingerprint == before
    greedy = b"\x80\x02}r" + struct.pack("<I", 20_000_000) + b"."
    assert "LONG_BINPUT" in [op.name for op, *_ in pickletools.genops(greedy)]
    (tmp_path / official.TRAIN[0]).write_bytes(greedy)
    tracemalloc.start()
    assert refusal(lambda: official.read(tmp_path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24, "a few bytes must not claim the memory of the machine"


def tar(*found: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, kind, data in found:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


tar_members = st.tuples(
    st.sampled_from([f"{official.FOLDER}/{n}" for n in (*official.TRAIN, official.META)])
    | st.sampled_from(["../x", "/tmp/x", f"../{official.FOLDER}/data_batch_1", "\x1b[31m"]),
    st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]),
    st.sampled_from([batch(), b"", b"x"]),
)
tars = rubbish | st.lists(tar_members, max_size=7).map(lambda found: tar(*found))


@few
@given(tars | st.builds(lambda t, at: t[: at % (len(t) + 1)], tars, st.integers(0)))
@example(
    tar(
        *(
            (f"{official.FOLDER}/{n}", tarfile.REGTYPE, batch())
            for n in (*official.TRAIN, official.TEST)
        )
    )
)
def test_an_official_archive_is_read_or_refused_and_never_unpacked(content: bytes) -> None:
    with a_folder() as outside:
        path = outside / "in" / ARCHIVE
        path.parent.mkdir()
        path.write_bytes(content)
        refusal(lambda: official.read(path))
        assert set(outside.rglob("*")) == {path.parent, path}


def test_a_header_cannot_inflate_an_archive_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**28
    path = tmp_path / ARCHIVE
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(info.tobuf())
        for _ in range(2**8):
            file.write(bytes(2**20))
    tracemalloc.start()
    assert refusal(lambda: official.read(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**27
