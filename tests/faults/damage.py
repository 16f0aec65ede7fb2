"""Damaged copies of every file that is read: each is read or refused in a sentence."""

import contextlib
import io
import os
import random
import select
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from cifar_tui.console import printing
from cifar_tui.data.loading import open_dataset
from cifar_tui.errors import UserError
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Follower, Runs, read_run
from cifar_tui.runs.origin import origin_of
from cifar_tui.runs.record import Notes
from cifar_tui.training.checkpoint import load
from cifar_tui.training.resume import resume_point
from tests.faults.rig import Bench, Result, fork, kill, reap, same, write_course

HANG = 5.0
"""Seconds after which a reader counts as hanging."""
LONGEST_REASON = 600
TEXTS = (
    *("summary.json", "events.jsonl", "progress.json", "notes.json", "spec.toml", "meta.json"),
    "control",
)

T = TypeVar("T")


class Hidden(Exception):
    """A damaged file that took an undamaged run with it."""


@dataclass(frozen=True)
class Target:
    """A file to damage, and what reads it: raises when the damage is not met as promised."""

    name: str
    path: Path
    read: Callable[[], None]


def damage_files(bench: Bench, tries: int, seed: int) -> Iterator[Result]:
    """Give every reader `tries` damaged copies; a row per reader."""
    for target in _targets(bench):
        yield damage(target, tries, seed)


def damage(target: Target, tries: int, seed: int) -> Result:
    """Read the copies in a child, so that a reader that crashes or hangs is counted as well."""
    result = Result(f"damaged {target.name}", tries)
    whole = target.path.read_bytes()
    done = 0
    while done < tries:
        out, into = os.pipe()
        pid = fork(partial(_read_all, target, whole, done, tries, seed, into))
        os.close(into)
        with open(out, "rb", buffering=0) as pipe:
            while done < tries and select.select([pipe], [], [], HANG)[0]:
                answer = _line(pipe)
                if not answer:
                    break
                done += 1
                _count(result, done, answer)
        if done < tries:
            done += 1
            result.mistake(f"copy {done}: the reader hung or died")
            kill(pid)
        else:
            reap(pid)
    target.path.write_bytes(whole)
    return result


def _line(pipe: io.FileIO) -> str:
    """One answer; every one is written at once and ends with a line feed."""
    text = b""
    while not text.endswith(b"\n"):
        byte = pipe.read(1)
        if not byte:
            return ""
        text += byte
    return text.decode()


def _count(result: Result, copy: int, answer: str) -> None:
    kind, _, remark = answer.strip().partition(" ")
    if kind == "hidden":
        result.lose(f"copy {copy}: {remark}")
    elif kind == "wrong":
        result.mistake(f"copy {copy}: {remark}")


def _read_all(target: Target, whole: bytes, first: int, tries: int, seed: int, pipe: int) -> None:
    torch.set_num_threads(1)
    for number in range(first, tries):
        target.path.write_bytes(damaged(whole, random.Random(f"{seed} {target.name} {number}")))
        answer = "fine"
        try:
            target.read()
        except Hidden as error:
            answer = f"hidden {error}"
        except Exception as error:
            answer = f"wrong {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        os.write(pipe, f"{answer}\n".encode())


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """A copy cut short, flipped, zeroed, overwritten, replaced, emptied or nested."""
    return rng.choice((_cut, _flip, _zero, _scribble, _replace, _nest))(whole, rng)


def _cut(whole: bytes, rng: random.Random) -> bytes:
    return whole[: rng.randrange(len(whole))]


def _flip(whole: bytes, rng: random.Random) -> bytes:
    copy = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        copy[rng.randrange(len(copy))] ^= 1 << rng.randrange(8)
    return bytes(copy)


def _zero(whole: bytes, rng: random.Random) -> bytes:
    return _overwritten(whole, rng, bytes)


def _scribble(whole: bytes, rng: random.Random) -> bytes:
    return _overwritten(whole, rng, rng.randbytes)


def _overwritten(whole: bytes, rng: random.Random, make: Callable[[int], bytes]) -> bytes:
    start = rng.randrange(len(whole))
    length = min(len(whole) - start, rng.choice((1, 4, 64, 512, 4096)))
    return whole[:start] + make(length) + whole[start + length :]


def _replace(whole: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 2, 64, 4096)))


def _nest(whole: bytes, rng: random.Random) -> bytes:
    """Put brackets, as deep as a stack and deeper, in the place of a word of the file."""
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"{a=", b"}"), (b"(", b"t")))
    depth = rng.choice((3, 90, 900, 5000, 100_000))
    nested = opening * depth + rng.choice((b"1", b"")) + closing * rng.choice((0, depth))
    places = [i for i, byte in enumerate(whole[:20_000]) if byte in b":=,["]
    start = rng.choice(places) + 1 if places else 0
    end = next((i for i in range(start, len(whole)) if whole[i] in b",\n}"), len(whole))
    return whole[:start] + nested + whole[end:]


def _targets(bench: Bench) -> list[Target]:
    runs = bench.folder / "damaged"
    victim, healthy = runs / "20260101-000000-victim", runs / "20260102-000000-healthy"
    for path in (victim, healthy):
        shutil.copytree(bench.reference, path)
        RunFolder(path).write_notes(Notes(name="mine", tags=("a", "b"), note="a remark"))
        RunFolder(path).write_order("go")
    targets = [Target(n, victim / n, partial(_read_runs, victim, healthy)) for n in TEXTS]
    for name in ("best.pt", "last.pt"):
        read = partial(_read_checkpoint, victim / name, healthy / name)
        targets.append(Target(name, victim / name, read))
    return targets + _data_targets(bench)


def _read_runs(victim: Path, healthy: Path) -> None:
    """Do what lists, viewers and workers do with the run; the other one must stay as it is."""
    found = {run.id: run for run in Runs(victim.parent).all()}
    if found.get(healthy.name) != Runs(healthy.parent).get(healthy.name):
        raise Hidden(f"{healthy.name} is not listed as it is")
    if found[healthy.name].problem or victim.name not in found:
        raise Hidden("a run is not listed")
    run = found[victim.name]
    if run.problem:
        _check_sentence(run.problem)
    with contextlib.redirect_stdout(io.StringIO()):
        printing.print_runs(list(found.values()), victim.parent)
        printing.print_run(run)
        printing.print_json(printing.run_details(run))
    Follower(Runs(victim.parent), victim.name).look()
    RunFolder(victim).read_order()
    _read_or_refuse(RunFolder(victim).spec)


def _read_checkpoint(path: Path, whole: Path) -> None:
    """Weights are read as they were or not at all, and the other checkpoint stands in."""
    checkpoint = _read_or_refuse(lambda: load(path))
    if checkpoint is not None and not same(vars(checkpoint), vars(load(whole))):
        raise ValueError(f"{path.name} was read with other content than was written")
    run = read_run(path.parent)
    assert run.spec is not None
    point, remark = resume_point(run, run.spec, origin_of(run))
    if point is None:
        raise ValueError("there is nothing to resume from")
    if remark:
        _check_sentence(remark)


def _read_or_refuse(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except UserError as error:
        _check_sentence(str(error))
        return None


def _check_sentence(text: str) -> None:
    if not text or len(text) > LONGEST_REASON or not text.isprintable():
        raise ValueError(f"not a sentence: {text[:100]!r}")


def _data_targets(bench: Bench) -> list[Target]:
    plain = write_course(bench.folder / "small", 40, 20, 10)
    packed = bench.folder / "packed"
    packed.mkdir()
    archive = packed / "cifar10_trainval_1.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(plain.iterdir()):
            file.write(path, path.name)
    names = ("train-images-batch.npy", "train-labels-batch.npy")
    targets = [Target(name, plain / name, lambda: _read_images(plain)) for name in names]
    return [*targets, Target("course zip", archive, lambda: _read_images(packed))]


def _read_images(folder: Path) -> None:
    dataset = _read_or_refuse(lambda: open_dataset(str(folder)))
    if dataset is not None and dataset.train.images.shape[1:] != (32, 32, 3):
        raise ValueError(f"read images of shape {dataset.train.images.shape}")
