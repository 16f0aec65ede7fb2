"""Reads a file that torch.save wrote, as a stranger's: nothing in it is run.

Such a file is a zip of a pickle and the bytes of the tensors; before torch 1.6 it was a row of
pickles, with the bytes after them. The few instructions that torch.save
puts into the pickle are followed here and any other is refused, as even those that
torch.load(weights_only=True) admits can ask for more memory than there is.
"""

import math
import os
import pickletools
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, UntypedStorage

from cifar_tui.errors import UserError
from cifar_tui.files import open_regular
from cifar_tui.text import shortened

LARGEST = 256 * 2**20
"""Bytes; the largest network here, with its optimiser, has a tenth of that."""
LARGEST_PICKLE = 4 * 2**20
"""Bytes; that of the deepest network here, with its optimiser, has a tenth of that."""
BEFORE_ZIPS = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How a file begins that torch wrote before version 1.6: the pickle of its magic number."""
OTHER_KINDS = (
    (b"version https://git-lfs", "is a Git LFS pointer; `git lfs pull` fetches the file itself"),
    (b"<", "is a web page, as of a download that failed; download it again"),
    (b"\x93NUMPY", "is a NumPy array"),
    (b"{", "is a text file"),
)
"""Beginnings of files that are taken for checkpoints, and what these are."""
LENGTH = struct.Struct("<q")
"""Of a storage in such a file, in numbers."""
TOO_MANY = "it holds more values than any checkpoint of these networks"
MOST_DIMENSIONS = 8
DEEPEST = 50
"""Deepest nesting of lists, tuples and dicts."""
VALUE_BYTES, TIMES = 32, 16
"""What a value takes in memory besides its text or numbers, and how many times the file's size
all of them may come to, each counted wherever it stands."""
STORAGES = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
DTYPES = frozenset(str(dtype).replace(".", " ") for dtype in STORAGES.values())
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
NEW: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list}
PLAIN = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE")
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Refused(ValueError):
    """Why a file is not read, in words that go on a sentence."""


def read_stored(path: Path) -> Any:
    """What the file holds, tensors on the CPU; raises UserError, FileNotFoundError.

    Whatever the file holds, nothing in it is run, and memory and time are in proportion to its
    size.
    """
    refusal = f"{path} is not a checkpoint that can be read safely"
    try:
        with open_regular(path) as file:
            size, head = os.fstat(file.fileno()).st_size, file.read(32)
            if size == 0:
                raise UserError(f"{path} is empty; copy or download it again.")
            if size > LARGEST:
                raise UserError(f"{path} is larger than any checkpoint of these networks.")
            for begin, what in OTHER_KINDS:
                if head.lstrip().startswith(begin):
                    raise UserError(f"{path} is no checkpoint: it {what}.")
            if head.startswith(BEFORE_ZIPS):
                file.seek(len(BEFORE_ZIPS))
                return _read_row(file.read())
            with zipfile.ZipFile(file) as archive:
                return _read_zip(archive, size)
    except zipfile.BadZipFile:
        if head.startswith(b"PK"):
            raise UserError(f"{path} is cut short or damaged; copy or download it again.") from None
        raise UserError(f"{refusal}.") from None
    except (FileNotFoundError, UserError):
        raise
    except _Refused as error:
        raise UserError(f"{refusal}: {error}.") from None
    except Exception:  # the reader of a damaged file raises whatever it stumbles over
        raise UserError(f"{refusal}.") from None


def read_best(path: Path) -> Any:
    """What a run's best.pt or last.pt holds; raises UserError, also while there is none yet."""
    try:
        return read_stored(path)
    except FileNotFoundError:
        raise UserError(f"There is no checkpoint {path}: no epoch was finished.") from None


class _Name(str):
    """A class or function that a pickle names, as `module name`; never imported."""


def _read_zip(archive: zipfile.ZipFile, size: int) -> Any:
    items = archive.infolist()
    if any(item.compress_type != zipfile.ZIP_STORED for item in items):
        raise _Refused("it is compressed, which torch.save never does")
    if sum(item.file_size for item in items) > size:
        raise ValueError("its members overlap")
    (pickle,) = (item for item in items if item.filename.endswith("/data.pkl"))
    if pickle.file_size > LARGEST_PICKLE:
        raise _Refused(TOO_MANY)
    root = pickle.filename.removesuffix("data.pkl")
    order = f"{root}byteorder"
    swapped = order in archive.namelist() and archive.read(order) != sys.byteorder.encode()

    def storage(key: str, dtype: torch.dtype, numbers: int) -> UntypedStorage:
        found = _storage_of(archive.read(f"{root}data/{key}"))
        if swapped:
            found.byteswap(dtype)
        return found

    return _Reader(archive.read(pickle), size, storage).read()


def _read_row(content: bytes) -> Any:
    """What follows the magic number: pickles of the version, of this machine's kind, of the object
    and of its storages' keys, then each storage as its length in numbers and its bytes."""
    parts, at = [], 0
    for _ in range(4):
        start = at
        for _, _, position in pickletools.genops(content[start : start + LARGEST_PICKLE]):
            at = start + (position or 0) + 1
        parts.append(content[start:at])
    made: dict[str, tuple[UntypedStorage, torch.dtype]] = {}

    def empty(key: str, dtype: torch.dtype, numbers: int) -> UntypedStorage:
        nbytes = numbers * dtype.itemsize
        if sum(storage.nbytes() for storage, _ in made.values()) + nbytes > len(content):
            raise _Refused("its tensors are larger than the file")
        made[key] = UntypedStorage(nbytes), dtype
        return made[key][0]

    _, machine, found, keys = (_Reader(part, len(content), empty).read() for part in parts)
    for key in keys:
        storage, dtype = made[key]
        end = at + LENGTH.size + storage.nbytes()
        if end > len(content):
            raise _Refused("it is cut short")
        if LENGTH.unpack_from(content, at)[0] * dtype.itemsize != storage.nbytes():
            raise ValueError("a storage of another length")
        storage.copy_(_storage_of(content[at + LENGTH.size : end]))
        if machine["little_endian"] != (sys.byteorder == "little"):
            storage.byteswap(dtype)
        at = end
    return found


def _storage_of(content: bytes) -> UntypedStorage:
    whole = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0)
    return whole.untyped_storage()


class _Reader:
    """Follows one pickle; raises _Refused, and whatever comes of a damaged file.

    `storage` gives the bytes of a tensor by their key, their dtype and how many numbers they are;
    `size` is that of the file.
    """

    def __init__(
        self, pickle: bytes, size: int, storage: Callable[[str, torch.dtype, int], UntypedStorage]
    ) -> None:
        self._pickle = pickle
        self._make_storage = storage
        self._storages: dict[str, UntypedStorage] = {}
        self._room = size * TIMES
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def read(self) -> Any:
        """What the pickle holds."""
        for opcode, argument, _ in pickletools.genops(self._pickle):
            self._follow(opcode.name, argument)
        (found,) = self._stack
        self._require_room(found, DEEPEST)
        return found

    def _follow(self, opcode: str, argument: Any) -> None:
        """One instruction of the pickle machine, as pickletools describes them."""
        stack = self._stack
        if opcode in CONSTANTS:
            stack.append(CONSTANTS[opcode])
        elif opcode in NEW:
            stack.append(NEW[opcode]())
        elif opcode in PLAIN:
            stack.append(argument)
        elif opcode in TUPLES:
            stack.append(tuple(self._pop(TUPLES[opcode])))
        elif opcode == "GLOBAL":
            stack.append(_Name(argument))
        elif opcode in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif opcode == "MARK":
            self._marks.append(len(stack))
        elif opcode == "TUPLE":
            stack.append(tuple(self._pop_marked()))
        elif opcode in ("APPEND", "APPENDS"):
            self._append(self._pop(1) if opcode == "APPEND" else self._pop_marked())
        elif opcode in ("SETITEM", "SETITEMS"):
            self._set(self._pop(2) if opcode == "SETITEM" else self._pop_marked())
        elif opcode == "BUILD":
            stack.pop()  # only tells which version of a layer wrote its weights
        elif opcode == "BINPERSID":
            stack.append(self._storage(*stack.pop()))
        elif opcode in ("REDUCE", "NEWOBJ"):
            name, arguments = self._pop(2)
            stack.append(self._made(name, *arguments))
        elif opcode not in ("PROTO", "STOP"):
            raise _Refused(f"its pickle has the instruction {opcode}")

    def _pop(self, count: int) -> list[Any]:
        found = self._stack[-count:]
        del self._stack[-count:]
        if len(found) < count:
            raise ValueError("too little on the stack")
        return found

    def _pop_marked(self) -> list[Any]:
        mark = self._marks.pop()
        found = self._stack[mark:]
        del self._stack[mark:]
        return found

    def _append(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise TypeError("no list")
        target.extend(values)

    def _set(self, values: list[Any]) -> None:
        """Keys are plain, as hashing a tuple of tuples may take for ever."""
        target = self._stack[-1]
        if type(target) is not dict or any(type(key) not in (str, int) for key in values[::2]):
            raise TypeError("no dict with plain keys")
        target.update(zip(values[::2], values[1::2], strict=True))

    def _storage(
        self, kind: Any, name: Any, key: Any, place: Any, numbers: Any, view: Any = None
    ) -> tuple[UntypedStorage, Any]:
        """The bytes of a tensor, made once for each key, and their dtype."""
        if kind != "storage" or type(name) is not _Name or type(key) is not str:
            raise TypeError("no storage")
        if type(numbers) is not int or numbers < 0 or view is not None:
            raise TypeError("no whole storage")
        if name not in STORAGES:
            raise _refused(name)
        if key not in self._storages:
            self._storages[key] = self._make_storage(key, STORAGES[name], numbers)
        return self._storages[key], STORAGES[name]

    def _made(self, name: Any, *arguments: Any) -> Any:
        """What one of the few functions and classes that checkpoints need would make."""
        if type(name) is not _Name:
            raise TypeError("no name")
        match name, arguments:
            case "torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor", (
                (storage, dtype),
                offset,
                size,
                stride,
                *_,
            ):
                return _tensor(storage, dtype, offset, size, stride)
            case "torch._utils _rebuild_parameter", (Tensor() as tensor, *_):
                return tensor
            case "collections OrderedDict", ():
                return {}
            case ("collections Counter", (dict() as values,)) | (
                "__builtin__ set",
                (list() as values,),
            ):
                return values
            case "torch Size", (tuple() as size,):
                return size
            case "torch device", (str() as kind, *_):
                return kind
        raise _refused(name)

    def _require_room(self, value: Any, depth: int) -> None:
        """Refuse what contains itself, or one thing so often that all is too much."""
        self._room -= VALUE_BYTES
        if type(value) is _Name and value not in DTYPES:
            raise _refused(value)
        if isinstance(value, str):
            self._room -= len(value)
        elif isinstance(value, Tensor):
            self._room -= value.nbytes
        elif not isinstance(value, int | float | None | list | tuple | dict):
            raise TypeError("no value")
        if self._room < 0 or depth == 0:
            raise _Refused("it repeats its values too often")
        if isinstance(value, dict):
            for key in value:
                self._require_room(key, depth - 1)
        if isinstance(value, dict | list | tuple):
            for one in value.values() if isinstance(value, dict) else value:
                self._require_room(one, depth - 1)


def _refused(name: str) -> _Refused:
    return _Refused(f"it holds {shortened(name.replace(' ', '.'))}")


def _tensor(
    storage: UntypedStorage, dtype: torch.dtype, offset: Any, size: Any, stride: Any
) -> Tensor:
    """A view of the bytes, which must have a number for each of its elements."""
    if len(size) > MOST_DIMENSIONS or any(type(n) is not int for n in (offset, *size, *stride)):
        raise TypeError("no shape")
    if math.prod(size) * dtype.itemsize > storage.nbytes():
        raise _Refused("it has a tensor of more numbers than its bytes hold")
    return torch.empty(0, dtype=dtype).set_(storage, offset, size, stride)
