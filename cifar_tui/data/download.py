"""Fetch the official archive, so that an interrupted download goes on where it stopped."""

from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from cifar_tui.data.places import ARCHIVE
from cifar_tui.errors import UserError

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
