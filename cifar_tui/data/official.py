"""The official CIFAR-10 (Krizhevsky 2009, python version): its archive, unpacked or fetched."""

import gzip
import pickle
import tarfile
from collections.abc import Callable
from functools import partial
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from pathlib import Path
from pickletools import genops
from typing import Any, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

from cifar_tui.data.dataset import SIDE, Dataset, checked_split
from cifar_tui.data.find import ARCHIVE, FOLDER, TEST, TRAIN
from cifar_tui.errors import UserError
from cifar_tui.spec.settings import CLASSES

META = "batches.meta"
# fmt: off
CLASS_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)
# fmt: on
LARGEST_FILE = 64 << 20
LARGEST_ARCHIVE = 1 << 30
MOST_PLACES = 1 << 20
"""Parts of a pickle that it may refer to again; a batch of 10,000 labels has some 10,000."""
SPLIT_SEED = 10


def read(path: Path) -> Dataset:
    """Read the official data from the archive or the unpacked folder, all splits labelled.

    The 50,000 training images become 45,000 for training and 5,000 for validation (the last
    tenth of a fixed permutation). Raises UserError naming the file that is missing or wrong.
    """
    files = _from_folder(path) if path.is_dir() else _from_archive(path)
    for name in (*TRAIN, TEST):
        if name not in files:
            raise UserError(f"{path} lacks {name} of the official CIFAR-10; get it again.")
    batches = [_batch(files[name], path / name) for name in TRAIN]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    order = _permutation(len(images))
    val = len(images) // 10
    return Dataset(
        "official",
        path.parent if path.is_file() else path,
        checked_split(images[order[:-val]], labels[order[:-val]], path, path),
        checked_split(images[order[-val:]], labels[order[-val:]], path, path),
        checked_split(*_batch(files[TEST], path / TEST), path / TEST, path / TEST),
        _class_names(files.get(META), path / META),
    )


def _permutation(count: int) -> NDArray[np.int64]:
    """A fixed order; raw PCG64 output is the part of numpy.random that no version may change."""
    raw = np.random.PCG64(SPLIT_SEED).random_raw(count)
    return np.argsort(raw, kind="stable")


def _from_folder(folder: Path) -> dict[str, bytes]:
    files = {}
    for name in (*TRAIN, TEST, META):
        path = folder / name
        if path.is_file():
            try:
                _require_small(path.stat().st_size, path)
                files[name] = path.read_bytes()
            except OSError as error:
                raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    return files


class _Gunzip(gzip.GzipFile):
    """Unpacks an archive without ever holding more of it than the largest file."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= LARGEST_FILE:
            raise ValueError("a header or member is too large")
        return super().read(size)


def _from_archive(path: Path) -> dict[str, bytes]:
    """The wanted members' bytes; others are passed over and nothing is written to disk."""
    wanted = {f"{FOLDER}/{name}": name for name in (*TRAIN, TEST, META)}
    files: dict[str, bytes] = {}
    try:
        with _Gunzip(path) as content, tarfile.open(fileobj=content, mode="r:") as archive:
            for member in archive:
                if member.offset_data + member.size > LARGEST_ARCHIVE:
                    raise UserError(f"{path} unpacks to more than 1 GiB; get the official one.")
                if member.name in wanted:
                    files[wanted[member.name]] = _member(archive, member, path)
                if len(files) == len(wanted):
                    break
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    except Exception:  # whatever damaged bytes make gzip and tarfile raise
        raise UserError(f"{path} is cut short or no tar.gz archive; get it again.") from None
    return files


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    _require_small(member.size, path / member.name)
    file = archive.extractfile(member) if member.isreg() else None
    if file is None:
        raise UserError(f"{path}: {member.name} is not a regular file; get the official archive.")
    return file.read()


def _require_small(size: int, path: Path) -> None:
    if size > LARGEST_FILE:
        raise UserError(f"{path} is larger than 64 MiB, so it is no file of the official CIFAR-10.")


class _Array:
    """Stands in for a pickled array and keeps its state as it is, so numpy restores nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def pixels(self) -> NDArray[np.uint8]:
        """The array, if it is one of bytes; raises TypeError or ValueError for any other."""
        _, shape, dtype, fortran, raw = self.state
        if not isinstance(dtype, _Dtype) or dtype.code not in ("u1", b"u1"):
            raise TypeError("not bytes")
        return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Dtype:
    """Stands in for a pickled dtype; its state (byte order, alignment) means nothing for bytes."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        pass


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, _encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    """Knows only the five names that arrays of bytes need, each replaced by a harmless one."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name} is not admitted")
        return partial(_ADMITTED[module, name])  # a pickle may change what it is given


def _load(raw: bytes, path: Path) -> dict[str, Any]:
    """The pickled dictionary with its keys as text; raises UserError for anything else."""
    try:
        _require_few_places(raw)
        loaded = _Unpickler(BytesIO(raw), encoding="bytes").load()
        return {k.decode() if isinstance(k, bytes) else str(k): v for k, v in loaded.items()}
    except Exception:  # whatever damaged or hostile bytes make pickle raise
        raise _not_official(path) from None


def _require_few_places(raw: bytes) -> None:
    """Refuse a pickle that numbers its parts so high that counting them takes all memory."""
    for code, argument, _ in genops(raw):
        if "PUT" in code.name and not 0 <= (argument or 0) < MOST_PLACES:
            raise pickle.UnpicklingError("too many places")


def _batch(raw: bytes, path: Path) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Images (N,32,32,3) and labels (N,) of one batch file, whose rows hold R, G and B planes."""
    batch = _load(raw, path)
    try:
        planes = batch["data"].pixels().reshape(-1, 3, SIDE, SIDE)
        if any(isinstance(label, list | tuple | dict) for label in batch["labels"]):
            raise TypeError("no plain list")  # numpy would follow lists in lists without end
        images, labels = planes.transpose(0, 2, 3, 1), np.array(batch["labels"])
    except Exception:  # missing keys and everything a hostile state makes numpy raise
        raise _not_official(path) from None
    split = checked_split(images, labels, path, path)
    assert split.labels is not None
    return split.images, split.labels


def _not_official(path: Path) -> UserError:
    return UserError(f"{path} is damaged or no batch file of the official CIFAR-10; get it again.")


def _class_names(raw: bytes | None, path: Path) -> tuple[str, ...]:
    """The ten label names of batches.meta when they can be shown, else the official ones."""
    if raw is None:
        return CLASS_NAMES
    listed = _load(raw, path).get("label_names")
    names = listed if isinstance(listed, list) else []
    texts = [n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in names]
    shown = all(isinstance(t, str) and t.isprintable() and 0 < len(t) <= 40 for t in texts)
    return tuple(texts) if shown and len(set(texts)) == CLASSES == len(texts) else CLASS_NAMES


CHUNK = 1 << 18
TIMEOUT_SECONDS = 30
RANGE_NOT_SATISFIABLE = 416


def download(
    folder: Path,
    progress: Callable[[int, int], None],
    url: str | None = None,
    md5: str | None = None,
) -> None:
    """Get cifar-10-python.tar.gz (170 MB) into the folder and check its MD5.

    Calls `progress(done_bytes, total_bytes)`, total 0 when the server does not say. Address and
    MD5 are torchvision's unless given. Returns at once when the archive is there already; raises
    UserError when the network or the disk fails (the part is kept) or the MD5 is wrong.
    """
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    url, md5 = url or CIFAR10.url, md5 or CIFAR10.tgz_md5
    target = folder / ARCHIVE
    part = folder / f"{ARCHIVE}.part"
    try:
        if check_integrity(target, md5):
            progress(target.stat().st_size, target.stat().st_size)
            return
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, progress)
        if not check_integrity(part, md5):
            part.unlink()
            raise UserError(f"What came from {url} has the wrong MD5 and was deleted; try again.")
        part.replace(target)
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        raise UserError(
            f"Getting {url} into {folder} failed: {reason}. Another try goes on from what arrived."
        ) from None


def _fetch(url: str, part: Path, progress: Callable[[int, int], None]) -> None:
    """Append what is missing to the part, or start over when the server sends the whole file."""
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(request, timeout=TIMEOUT_SECONDS)
    except HTTPError as error:
        if error.code == RANGE_NOT_SATISFIABLE:
            return
        raise
    with response:
        resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        with part.open("ab" if resumed else "wb") as file:
            _copy(response, file, have if resumed else 0, progress)


def _copy(
    response: HTTPResponse, file: BinaryIO, done: int, progress: Callable[[int, int], None]
) -> None:
    length = response.headers.get("Content-Length")
    total = done + int(length) if length else 0
    progress(done, total)
    while chunk := response.read(CHUNK):
        file.write(chunk)
        done += len(chunk)
        progress(done, total)
    if done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")
