"""Runs in one file: whole on the other side, and nothing of a stranger's archive gets out of it."""

import io
import json
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_tui import cli
from cifar_tui.errors import UserError
from cifar_tui.features.archive.core import archive_path, archive_runs, is_archive, unarchive
from cifar_tui.runs.listing import Run, Runs, read_run
from cifar_tui.runs.notes import annotate
from tests.conftest import Command
from tests.hostile import SUMMARY, a_folder, as_json, good_run, refusal, rubbish, search, texts

ID = "20260101-000000-theirs"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with everything that may be in its folder, noted by its user."""
    folder = tmp_path / "runs" / good_run(tmp_path / "runs")
    annotate(folder, name="mine", note="é", pinned=True)
    (folder / "best.pt").write_bytes(os.urandom(300_000))
    (folder / "last.pt").write_bytes(bytes(1000))
    (folder / "lock").write_text("x")
    return read_run(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def archived_by_an_earlier_version(runs: list[Run], file: Path) -> None:
    """The runs as .tar.gz, as archives were until only .zip was written."""
    with tarfile.open(file, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for run in runs:
            for path in sorted(run.path.iterdir()):
                if path.name != "lock":
                    tar.add(path, f"{run.id}/{path.name}")


def test_runs_come_in_as_they_went_out(run: Run, tmp_path: Path) -> None:
    other = read_run(tmp_path / "runs" / good_run(tmp_path / "runs"))
    file = tmp_path / "mine.zip"
    ticks: list[tuple[int, int]] = []
    size = archive_runs([run, other], file, tick=lambda *counts: ticks.append(counts))
    assert size == file.stat().st_size
    assert ticks[-1][0] == ticks[-1][1] > 301_000
    assert is_archive(file)
    require_both(file, run, other)


def test_an_archive_of_an_earlier_version_comes_in(run: Run, tmp_path: Path) -> None:
    other = read_run(tmp_path / "runs" / good_run(tmp_path / "runs"))
    file = tmp_path / "mine.tar.gz"
    archived_by_an_earlier_version([run, other], file)
    assert is_archive(file) and is_archive(Path("x.tgz")) and not is_archive(Path("x.pth"))
    require_both(file, run, other)


def require_both(file: Path, run: Run, other: Run) -> None:
    """The archive's two runs come in whole, but for the lock."""
    elsewhere = file.parent / "elsewhere"
    found = unarchive(file, elsewhere)
    assert {one.id for one in found} == {run.id, other.id}
    mine = next(one for one in found if one.id == run.id)
    assert contents(mine.path) == {k: v for k, v in contents(run.path).items() if k != "lock"}
    assert (mine.name, mine.notes.note, mine.notes.pinned) == ("mine", "é", True)
    assert sorted(path.name for path in elsewhere.iterdir()) == sorted([run.id, other.id])


@pytest.mark.parametrize("year", [1905, 2150, 9000])
def test_files_of_any_date_are_archived(run: Run, tmp_path: Path, year: int) -> None:
    seconds = (year - 1970) * 31_556_952
    os.utime(run.path / "best.pt", (seconds, seconds))
    archive_runs([run], tmp_path / "mine.zip")
    assert [one.id for one in unarchive(tmp_path / "mine.zip", tmp_path / "x")] == [run.id]


def test_an_id_that_exists_gets_a_new_number(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.zip"
    archive_runs([run], file)
    runs = Runs(tmp_path / "runs")
    before = contents(run.path)
    assert [one.id for one in unarchive(file, runs.folder)] == [f"{run.id}-2"]
    runs.delete(runs.get(f"{run.id}-2"))
    assert [one.id for one in unarchive(file, runs.folder)] == [f"{run.id}-3"]
    assert contents(run.path) == before


def test_the_file_is_named_after_the_run(run: Run, tmp_path: Path) -> None:
    assert archive_path(None, [run]) == Path(f"{run.id}.zip")
    assert archive_path(tmp_path, [run]) == tmp_path / f"{run.id}.zip"
    assert archive_path(None, [run, run]) == Path("runs.zip")


def test_what_ends_the_writing_leaves_no_file(run: Run, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        archive_runs([run], folder / "x.zip", tick=stop)
    assert list(folder.iterdir()) == []


def test_what_cannot_be_archived_is_said(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    for name in ("x.rar", "x.tar.gz"):
        assert "must end in .zip" in refusal(lambda n=name: archive_runs([run], tmp_path / n))
    file.write_text("precious")
    assert "--overwrite" in refusal(lambda: archive_runs([run], file))
    assert file.read_text() == "precious"
    (run.path / "last.pt").unlink()
    (run.path / "last.pt").symlink_to("/etc/passwd")
    assert "not a regular file" in refusal(lambda: archive_runs([run], file, overwrite=True))
    (run.path / "summary.json").write_bytes(as_json(SUMMARY | {"status": "running"}))
    (run.path / "progress.json").unlink(missing_ok=True)
    queued = as_json(SUMMARY | {"status": "queued"})
    (run.path / "summary.json").write_bytes(queued)
    assert "have ended" in refusal(lambda: archive_runs([read_run(run.path)], file, overwrite=True))
    assert file.read_text() == "precious"


# Hostile archives

Member = tuple[str, bytes, dict[str, Any]]
GOOD: list[Member] = [
    (f"{ID}/summary.json", as_json(SUMMARY), {}),
    (f"{ID}/events.jsonl", b"", {}),
]


def make_tar(members: list[Member]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content, more in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return buffer.getvalue()


def make_zip(members: list[Member]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, more in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in more.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return buffer.getvalue()


def require_refused(file: Path, words: str = "") -> None:
    """The archive is refused in a sentence, and everything is as it was before."""
    before = {path: path.read_bytes() for path in file.parent.rglob("*") if path.is_file()}
    runs = file.parent / "runs"
    sentence = refusal(lambda: unarchive(file, runs))
    assert words in sentence and sentence
    assert not runs.exists() or list(runs.iterdir()) == []
    after = {path: path.read_bytes() for path in file.parent.rglob("*") if path.is_file()}
    assert after == before


def test_a_good_one_made_by_other_tools_comes_in(tmp_path: Path) -> None:
    more: list[Member] = [(f"{ID}/README", b"x", {}), (f"{ID}/deep/er.txt", b"x", {})]
    for make, name in ((make_tar, "a.tar.gz"), (make_zip, "a.zip")):
        file = tmp_path / name
        file.write_bytes(make(GOOD + more))
        (found,) = unarchive(file, tmp_path / name[-3:])
        assert sorted(contents(found.path)) == ["events.jsonl", "summary.json"]


PATHS = [
    "/etc/x/summary.json",
    "../summary.json",
    f"{ID}/../../summary.json",
    f"../{ID}/summary.json",
    f"{ID}/../summary.json",
    f"./../{ID}/best.pt",
    ".trash/summary.json",
    "..\\x/summary.json",
    "C:\\x/summary.json",
    f"{ID}//summary.json",
    "\x1b[31m/summary.json",
    "x" * 300 + "/summary.json",
    "a\nb/summary.json",
]


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_no_path_leads_out_of_the_runs_own_folder(
    tmp_path: Path, make: Callable[[list[Member]], bytes]
) -> None:
    file = tmp_path / "in" / "x"
    file.parent.mkdir()
    file.write_bytes(make([*GOOD, *((name, b"x", {}) for name in PATHS)]))
    (found,) = unarchive(file, file.parent / "runs")
    assert contents(found.path) == {name.split("/")[1]: content for name, content, _ in GOOD}
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        [file, *found.path.iterdir()]
    )


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    file = tmp_path / "x.zip"
    link = {"type": kind, "linkname": "/etc/passwd"}
    file.write_bytes(make_tar([*GOOD, (f"{ID}/best.pt", b"", link)]))
    require_refused(file)
    directory = make_tar([(ID, b"", {"type": tarfile.SYMTYPE, "linkname": "/tmp"}), *GOOD])
    file.write_bytes(directory)
    require_refused(file, "not a regular file")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    link = {"external_attr": (stat.S_IFLNK | 0o777) << 16, "create_system": 3}
    file.write_bytes(make_zip([*GOOD, (f"{ID}/best.pt", b"/etc/passwd", link)]))
    require_refused(file, "not a regular file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_name_that_comes_twice_is_refused(
    tmp_path: Path, make: Callable[[list[Member]], bytes]
) -> None:
    file = tmp_path / "x"
    file.write_bytes(make([*GOOD, GOOD[0]]))
    require_refused(file, "twice")


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_bombs_are_refused(tmp_path: Path, make: Callable[[list[Member]], bytes]) -> None:
    file = tmp_path / "x"
    file.write_bytes(make([*GOOD, (f"{ID}/spec.toml", bytes(2 * 2**20), {})]))
    require_refused(file, "larger than any run's")
    file.write_bytes(make([*GOOD, (f"{ID}/best.pt", bytes(40 * 2**20), {})]))
    assert file.stat().st_size < 100_000
    require_refused(file, "larger than any run's")


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_summary_that_is_none_or_missing_refuses_all(
    tmp_path: Path, make: Callable[[list[Member]], bytes]
) -> None:
    file = tmp_path / "x"
    file.write_bytes(make([*GOOD, ("other/events.jsonl", b"", {})]))
    require_refused(file, "summary.json is missing")
    file.write_bytes(make([*GOOD, ("other/summary.json", b"{", {})]))
    require_refused(file)
    file.write_bytes(make([("a/b/c", b"{", {})]))
    require_refused(file, "no run in it")


def test_what_is_damaged_is_named_as_in_the_archive(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    members = [("a/summary.json", as_json(SUMMARY | {"spec": {}}), {}), ("a/spec.toml", b"=", {})]
    file.write_bytes(make_zip(members))
    said = refusal(lambda: unarchive(file, tmp_path / "runs"))
    assert said.startswith(f"{file} cannot be brought in: a/spec.toml is not a TOML file: ")
    assert said.count("a/spec.toml") == 1
    assert not said.endswith("..")


def test_a_run_that_had_not_ended_is_not_trained_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    queued = as_json(SUMMARY | {"status": "queued"})
    file.write_bytes(make_zip([(f"{ID}/summary.json", queued, {})]))
    (found,) = unarchive(file, tmp_path / "runs")
    assert found.status == "crashed"


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_an_archive_damaged_anywhere_comes_in_whole_or_not_at_all(
    run: Run, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / "sound" / f"x{suffix}"
    file.parent.mkdir()
    (run.path / "best.pt").write_bytes(os.urandom(3000))
    if suffix == ".zip":
        archive_runs([run], file)
    else:
        archived_by_an_earlier_version([run], file)
    sound, wanted = file.read_bytes(), contents(run.path)
    del wanted["lock"]
    places = range(0, len(sound), max(1, len(sound) // 15))
    for place in places:
        for damaged in (
            sound[:place],
            sound[:place] + bytes([sound[place] ^ 0xFF]) + sound[place + 1 :],
        ):
            with a_folder() as folder:
                (folder / "x").write_bytes(damaged)
                if not refusal(lambda folder=folder: unarchive(folder / "x", folder / "runs")):
                    (found,) = Runs(folder / "runs").all()
                    brought = contents(found.path)
                    assert all(wanted[name] == brought[name] for name in brought)
                    assert "summary.json" in brought
                elif (folder / "runs").exists():
                    assert list((folder / "runs").iterdir()) == []


@search
@given(
    rubbish
    | st.lists(
        st.tuples(
            texts.filter(lambda t: not any("\ud800" <= c <= "\udfff" for c in t))
            | st.sampled_from([*PATHS, f"{ID}/summary.json", f"{ID}/best.pt", ID]),
            rubbish,
        ),
        max_size=4,
    ).map(lambda pairs: make_tar([(n or "x", c, {}) for n, c in pairs]))
)
def test_anything_is_brought_in_or_refused(content: bytes) -> None:
    with a_folder() as folder:
        (folder / "x").write_bytes(content)
        refusal(lambda: unarchive(folder / "x", folder / "runs"))
        for path in folder.rglob("*"):
            inside = path.relative_to(folder).parts
            assert inside[0] in ("x", "runs") and len(inside) <= 3
            assert not path.is_symlink()


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/gone", "/proc/self/mem"])
def test_it_must_be_a_file(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError):
        unarchive(Path(path), tmp_path / "runs")
    assert [path for path in tmp_path.rglob("*") if path.name != "runs"] == []


def test_the_commands_carry_a_run_over(cifar: Command, run: Run, tmp_path: Path) -> None:
    runs = str(run.path.parent)
    out = cifar("runs", "archive", "mine", "--runs", runs, "--output", "x.zip", "--json")
    assert (out.returncode, out.stderr) == (0, "")
    assert json.loads(out.stdout)["runs"] == [run.id]
    assert cifar("runs", "archive", "mine", "--runs", runs, "--output", "x.zip").returncode == 2
    there = cifar("import", "x.zip", "--runs", "there", "--json")
    (told,) = json.loads(there.stdout)["runs"]
    assert (told["id"], told["name"], told["pinned"]) == (run.id, "mine", True)
    assert not (tmp_path / "there" / run.id / "lock").exists()


def test_an_archive_takes_no_settings_on_import(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.zip"
    archive_runs([run], file)
    assert cli.run(["import", str(file), "--name", "y", "--runs", str(tmp_path / "there")]) == 2
    assert "keep their names" in capsys.readouterr().err
    assert not (tmp_path / "there").exists()
