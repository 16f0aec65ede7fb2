"""The official archive: read without trusting its pickles, and fetched so that it can resume."""

import codecs
import hashlib
import io
import os
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_tui.data import official
from cifar_tui.data.dataset import describe
from cifar_tui.data.find import ARCHIVE, find
from cifar_tui.data.loading import open_dataset
from cifar_tui.data.official import download
from cifar_tui.errors import UserError

FILES = (*official.TRAIN, official.TEST)


def batch(seed: int, count: int = 40) -> dict[str, Any]:
    """One batch of images whose red plane is their label, so that mixing them up shows."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 10)
    data = rng.integers(0, 256, (count, 3, 1024), np.uint8)
    data[:, 0] = labels[:, None]
    return {"data": data.reshape(count, 3072), "labels": labels.tolist()}


def contents(protocol: int = 4, as_bytes: bool = False) -> dict[str, bytes]:
    """The seven pickled files by name, with their keys as text or as bytes."""
    dicts: dict[str, dict[str, Any]] = {name: batch(i) for i, name in enumerate(FILES)}
    dicts["batches.meta"] = {"label_names": [f"kind {i}" for i in range(10)]}
    if as_bytes:
        dicts["batches.meta"]["label_names"] = [b"kind %d" % i for i in range(10)]
        dicts = {name: {k.encode(): v for k, v in d.items()} for name, d in dicts.items()}
    return {name: pickle.dumps(d, protocol) for name, d in dicts.items()}


def write_unpacked(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)


def write_archive(folder: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        for name, raw in files.items():
            info = tarfile.TarInfo(f"{official.FOLDER}/{name}")
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))


def refusal(where: object) -> str:
    with pytest.raises(UserError) as caught:
        open_dataset(str(where))
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_archive_and_folders_give_the_same_images(
    tmp_path: Path, protocol: int, as_bytes: bool
) -> None:
    files = contents(protocol, as_bytes)
    (tmp_path / "a").mkdir()
    write_archive(tmp_path / "a", files)
    write_unpacked(tmp_path / "b" / official.FOLDER, files)
    write_unpacked(tmp_path / "c", files)
    datasets = [open_dataset(str(tmp_path / name)) for name in "abc"]
    assert len({dataset.fingerprint for dataset in datasets}) == 1
    for dataset in datasets:
        assert dataset.source == "official" and not dataset.synthetic
        assert dataset.classes == tuple(f"kind {i}" for i in range(10))
        assert [len(split) for split in dataset.splits.values()] == [180, 20, 40]
        for split in dataset.splits.values():
            assert np.array_equal(split.images[:, 5, 7, 0], split.labels)


def python2_pickle(content: dict[str, Any]) -> bytes:
    """A batch as Python 2 pickled it, the way the real files are: its texts are byte strings."""
    data = content["data"]
    state = b"(K\x01(K" + bytes([len(data)]) + b"M\x00\x0ctcnumpy\ndtype\n(U\x02u1K\x00K\x01tR"
    state += b"(K\x03U\x01|NNNK\x00K\x00K\x00tb\x89T" + struct.pack("<i", data.size)
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    labels = b"".join(b"K" + bytes([label]) for label in content["labels"])
    labels = b"U\x06labels](" + labels + b"e"
    return b"\x80\x02}(U\x04data" + array + state + data.tobytes() + b"tb" + labels + b"u."


def test_files_of_python_2_are_read(tmp_path: Path) -> None:
    files = {name: python2_pickle(batch(i)) for i, name in enumerate(FILES)}
    write_unpacked(tmp_path / "old", files)
    del (new := contents())["batches.meta"]
    write_unpacked(tmp_path / "new", new)
    old = open_dataset(str(tmp_path / "old"))
    assert old.fingerprint == open_dataset(str(tmp_path / "new")).fingerprint


def test_planes_become_pixels(tmp_path: Path) -> None:
    write_archive(tmp_path, contents())
    test = open_dataset(str(tmp_path)).test
    data = batch(FILES.index(official.TEST))["data"]
    for channel in range(3):
        assert test.images[3, 4, 5, channel] == data[3, channel * 1024 + 4 * 32 + 5]


def test_train_and_val_are_a_fixed_partition(tmp_path: Path) -> None:
    write_archive(tmp_path, contents())
    dataset = open_dataset(str(tmp_path))
    all_rows = np.concatenate([batch(i)["data"] for i in range(5)])
    expected = {row.reshape(3, 32, 32).transpose(1, 2, 0).tobytes() for row in all_rows}
    train = {image.tobytes() for image in dataset.train.images}
    val = {image.tobytes() for image in dataset.val.images}
    assert train | val == expected and not train & val
    assert official._permutation(50_000)[:3].tolist() == [48829, 26276, 12952]


def test_names_fall_back_to_the_official_ones(tmp_path: Path) -> None:
    files = contents()
    del files["batches.meta"]
    write_unpacked(tmp_path, files)
    assert describe(open_dataset(str(tmp_path)))["classes"][:2] == ["airplane", "automobile"]
    names = ["\x1b[2J"] + [f"kind {i}" for i in range(9)]
    (tmp_path / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    assert open_dataset(str(tmp_path)).classes == official.CLASS_NAMES


class Bomb:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


BOMBS = {
    "a function": Bomb(os.mkdir, "unpickled"),
    "eval": Bomb(eval, "__import__('os').mkdir('unpickled')"),
    "another codec": Bomb(codecs.encode, "text", "rot13"),
    "an array of objects": np.array([[Bomb(os.mkdir, "unpickled")]], object),
    "a list": [1, 2],
    "floats": np.zeros((40, 3072)),
    "too few bytes": np.zeros((40, 3071), np.uint8),
    "nothing": None,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_hostile_pickle_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bomb: str
) -> None:
    monkeypatch.chdir(tmp_path)
    files = contents()
    files["data_batch_3"] = pickle.dumps({**batch(2), "data": BOMBS[bomb]}, 2)
    write_archive(tmp_path, files)
    assert "data_batch_3 is damaged" in refusal(tmp_path)
    assert not (tmp_path / "unpickled").exists()


def test_a_state_that_lies_about_its_shape_is_refused(tmp_path: Path) -> None:
    files = contents(protocol=0)
    raw = files["test_batch"]
    assert raw.count(b"I40\nI3072\n") == 1
    files["test_batch"] = raw.replace(b"I40\nI3072\n", b"I4000000\nI3072\n")
    write_archive(tmp_path, files)
    assert "test_batch is damaged" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0] * 39, "39 labels for 40 images"),
        ([10] * 40, "labels from 0 to 9"),
        ([0.5] * 40, "float64"),
        ([[1], [2, 3]], "damaged"),
        ([1 << 70] * 40, "object"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, labels: list[Any], words: str) -> None:
    files = contents()
    files["test_batch"] = pickle.dumps({**batch(5), "labels": labels})
    write_unpacked(tmp_path, files)
    text = refusal(tmp_path)
    assert "test_batch" in text and words in text


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    files = contents()
    del files["data_batch_4"]
    write_unpacked(tmp_path / "folder", files)
    assert "lacks data_batch_4" in refusal(tmp_path / "folder")
    (tmp_path / "archive").mkdir()
    write_archive(tmp_path / "archive", files)
    assert "lacks data_batch_4" in refusal(tmp_path / "archive")


def test_a_complete_archive_makes_up_for_a_partial_folder(tmp_path: Path) -> None:
    files = contents()
    write_archive(tmp_path, files)
    del files["data_batch_4"]
    write_unpacked(tmp_path / official.FOLDER, files)
    assert find(str(tmp_path)).path == tmp_path / ARCHIVE


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path, contents())
    path = tmp_path / ARCHIVE
    path.write_bytes(path.read_bytes()[:-1_000])
    assert f"{path} is cut short" in refusal(tmp_path)
    path.write_bytes(b"no archive")
    assert f"{path} is cut short" in refusal(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_in_the_archive_is_not_followed(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "outside").write_bytes(contents()["data_batch_1"])
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as archive:
        info = tarfile.TarInfo(f"{official.FOLDER}/data_batch_1")
        info.type, info.linkname = kind, str(tmp_path / "outside")
        archive.addfile(info)
    assert "data_batch_1 is not a regular file" in refusal(tmp_path)


def test_an_absurdly_large_member_is_refused_unread(tmp_path: Path) -> None:
    info = tarfile.TarInfo(f"{official.FOLDER}/data_batch_1")
    for size, words in ((100 << 20, "larger than 64 MiB"), (2 << 30, "more than 1 GiB")):
        info.size = size
        with tarfile.open(tmp_path / ARCHIVE, "w:gz") as archive:
            archive.addfile(info)
        assert words in refusal(tmp_path)


PAYLOAD = np.random.default_rng(0).bytes(1_000_000)
MD5 = hashlib.md5(PAYLOAD).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves PAYLOAD; may ignore Range, and may hang up after some bytes."""

    ranges = True
    hang_up_after: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sent: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_port}/archive"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range") if self.server.ranges else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if asked and start >= len(PAYLOAD):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        if asked:
            end = len(PAYLOAD)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(PAYLOAD) - start))
        self.end_headers()
        body = PAYLOAD[start:][: self.server.hang_up_after]
        self.server.sent.append(len(body))
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(server: Server, folder: Path, md5: str = MD5) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    download(folder, lambda done, total: seen.append((done, total)), server.url, md5)
    return seen


def test_download_reports_progress_and_leaves_only_the_archive(
    tmp_path: Path, server: Server
) -> None:
    seen = fetch(server, tmp_path / "new")
    assert (tmp_path / "new" / ARCHIVE).read_bytes() == PAYLOAD
    assert len(list((tmp_path / "new").iterdir())) == 1
    assert seen == sorted(seen) and seen[0] == (0, 1_000_000) and seen[-1] == (1_000_000,) * 2


def test_a_verified_archive_is_not_fetched_again(tmp_path: Path, server: Server) -> None:
    (tmp_path / ARCHIVE).write_bytes(PAYLOAD)
    assert fetch(server, tmp_path) == [(1_000_000, 1_000_000)]
    assert server.sent == []


def test_an_interrupted_download_resumes(tmp_path: Path, server: Server) -> None:
    server.hang_up_after = 300_000
    with pytest.raises(UserError, match="goes on from what arrived"):
        fetch(server, tmp_path)
    assert not (tmp_path / ARCHIVE).exists()
    server.hang_up_after = None
    assert fetch(server, tmp_path)[0] == (300_000, 1_000_000)
    assert (tmp_path / ARCHIVE).read_bytes() == PAYLOAD
    assert server.sent == [300_000, 700_000]


def test_a_server_without_ranges_makes_it_start_over(tmp_path: Path, server: Server) -> None:
    (tmp_path / f"{ARCHIVE}.part").write_bytes(PAYLOAD[:300_000])
    server.ranges = False
    fetch(server, tmp_path)
    assert (tmp_path / ARCHIVE).read_bytes() == PAYLOAD
    assert server.sent == [1_000_000]


def test_a_complete_part_only_needs_checking(tmp_path: Path, server: Server) -> None:
    (tmp_path / f"{ARCHIVE}.part").write_bytes(PAYLOAD)
    fetch(server, tmp_path)
    assert (tmp_path / ARCHIVE).read_bytes() == PAYLOAD
    assert server.sent == []


def test_a_wrong_md5_deletes_what_came(tmp_path: Path, server: Server) -> None:
    with pytest.raises(UserError, match="wrong MD5"):
        fetch(server, tmp_path, md5="0" * 32)
    assert list(tmp_path.iterdir()) == []


def test_no_server_is_one_sentence(tmp_path: Path, server: Server) -> None:
    server.url = "http://127.0.0.1:1/archive"
    with pytest.raises(UserError, match=r"failed: Connection refused\. Another try.*arrived\.$"):
        fetch(server, tmp_path)
