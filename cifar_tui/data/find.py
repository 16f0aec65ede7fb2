"""Where files with images lie: found by their names alone, so that looking is quick."""

import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from cifar_tui.errors import UserError
from cifar_tui.spec.checks import SETTINGS
from cifar_tui.text import plain

if TYPE_CHECKING:
    from cifar_tui.data.dataset import Source


DEMO = "demo"


NEEDED = tuple(f"{s}-{what}-batch.npy" for s in ("train", "val") for what in ("images", "labels"))
TEST_IMAGES = "test-images-batch.npy"
ZIPS = ("cifar10_trainval_*.zip", "cifar10_test_*.zip")
LARGEST_ZIP = 1 << 30
ARCHIVE = "cifar-10-python.tar.gz"
FOLDER = "cifar-10-batches-py"
TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST = "test_batch"


@dataclass(frozen=True)
class Place:
    """Where one of the five files lies: in the folder, or as a member of a zip."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {plain(self.member)}" if self.member else str(self.path)


def locate_course(folder: Path) -> dict[str, Place]:
    """The course files found in the folder, by name; files beside win over zips.

    Reads no pixels. Raises UserError for an unsafe or broken zip, and when some of the needed
    files are there but not all.
    """
    zips = sorted(path for pattern in ZIPS for path in folder.glob(pattern))
    members = [place for path in zips for place in _members(path)]
    places = {PurePosixPath(place.member).name: place for place in reversed(members)}
    for name in (*NEEDED, TEST_IMAGES):
        if (folder / name).exists():
            places[name] = Place(folder / name)
    missing = [name for name in NEEDED if name not in places]
    if places and missing:
        raise UserError(
            f"{folder} has some of the course's files but lacks {', '.join(missing)}; "
            "put them there, or give another folder."
        )
    return places


def locate_official(folder: Path) -> Path | None:
    """The unpacked folder if complete, else the archive, else None; reads no pixels.

    Raises UserError when an unpacked folder is all there is and it lacks files.
    """
    needed = (*TRAIN, TEST)
    partial = {}
    for unpacked in (folder / FOLDER, folder):
        missing = [name for name in needed if not (unpacked / name).is_file()]
        if not missing:
            return unpacked
        if len(missing) < len(needed):
            partial[unpacked] = missing
    if (folder / ARCHIVE).is_file():
        return folder / ARCHIVE
    for unpacked, missing in partial.items():
        raise UserError(
            f"{unpacked} lacks {', '.join(missing)} of the official CIFAR-10; "
            "unpack the archive again, or put it beside."
        )
    return None


def stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Name, time and size of the folder's files: what changes when one of them is replaced."""
    if not folder.is_dir():
        return []
    files = sorted(p for p in folder.iterdir() if p.is_file())
    return [(p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in files]


def _members(path: Path) -> list[Place]:
    """The course files inside a zip; the whole zip is refused when any member is suspicious."""
    require_regular(path)
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except Exception:  # whatever a damaged directory makes zipfile raise
        raise UserError(f"{path} is not a whole zip file; get it again.") from None
    for info in infos:
        name = PureWindowsPath(info.filename)  # takes both slashes as separators
        if name.anchor or ".." in name.parts:
            raise UserError(f"{path} has a member that points out of it; get the course's own zip.")
        if info.flag_bits & 1:
            raise UserError(f"{path} is encrypted; unpack it and give the folder with its files.")
    if sum(info.file_size for info in infos) > LARGEST_ZIP:
        raise UserError(f"{path} unpacks to more than 1 GiB; get the course's own zip.")
    wanted = (*NEEDED, TEST_IMAGES)
    return [Place(path, i.filename) for i in infos if PurePosixPath(i.filename).name in wanted]


def require_regular(path: Path) -> None:
    """Raise UserError for what is no file, like a pipe that would never end."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    if not regular:
        raise UserError(f"{path} is not a regular file; put the course's file in its place.")


@dataclass(frozen=True)
class Found:
    """What `open_dataset` would read, the path it would read it from, and a note for the user."""

    source: "Source"
    path: Path | None
    note: str


def find(where: str) -> Found:
    """Look for images in the folder `where` without reading any; `demo` is the demo set.

    The course's files come first, then the official data. The default folder stands for the demo
    set where it is missing or empty; elsewhere a folder without a whole dataset raises UserError.
    """
    if where == DEMO:
        return Found("demo", None, "Using the demo set (synthetic).")
    try:
        return _find_in(Path(where).expanduser())
    except OSError as error:
        raise UserError(f"Cannot look into {where}: {error.strerror or error}.") from None
    except RuntimeError:
        raise UserError(f"There is no home folder for {where}; give the whole path.") from None


def _find_in(folder: Path) -> Found:
    usual = folder == Path(SETTINGS["data"].default)
    if folder.is_dir():
        if locate_course(folder):
            return Found("course", folder, f"Using the course's data in {_shown(folder)}.")
        if path := locate_official(folder):
            return Found("official", path, f"Using the official CIFAR-10 in {_shown(path)}.")
        if not usual or any(not path.name.startswith(".") for path in folder.iterdir()):
            raise UserError(
                f"There are no CIFAR-10 images in {_shown(folder)}; give the folder with the "
                "course's files or the official archive, or `demo` for the synthetic demo set."
            )
    elif folder.exists():
        raise UserError(f"{folder} is not a folder; give the folder with the images, or `demo`.")
    elif not usual:
        raise UserError(f"There is no folder {folder}; give the one with the images, or `demo`.")
    return Found(
        "demo",
        None,
        f"No data in {_shown(folder)}. Using the demo set (synthetic); "
        "`cifar-tui data download` gets CIFAR-10 (170 MB).",
    )


def lasting(where: str) -> str:
    """The same images by a name that means them from every folder: an absolute path, or `demo`."""
    if where == DEMO:
        return where
    try:
        if find(where).path is None:
            return DEMO
    except UserError:
        pass  # whoever reads them says why they cannot be read
    try:
        path = str(Path(where).expanduser().absolute())
    except RuntimeError:
        return where
    return path if path.isprintable() else where


def _shown(path: Path) -> str:
    return str(path) if path.is_absolute() or path == Path() else f"./{path}"
