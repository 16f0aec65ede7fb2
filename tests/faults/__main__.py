"""Does every fault in turn and prints the table; exits with 1 when anything was lost or wrong."""

import argparse
import os
import platform
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from tests.faults.damage import damage_files
from tests.faults.disk import fill_disks
from tests.faults.kills import kill_runs
from tests.faults.rig import Bench, Result, end_children, make_bench
from tests.faults.sequences import replay, run_sequences
from tests.faults.terminal import close_terminals


def main() -> int:
    """Parse the numbers of tries, run, print."""
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        os.environ["CIFAR_TUI_LOCKS"] = scratch
        try:
            if given.replay is not None:
                return replay(folder, given.seed, given.replay)
            bench = make_bench(folder, given.epochs)
            code = report(_results(bench, given))
        finally:
            end_children()
    print(f"\nseed {given.seed}, {given.epochs} epochs a run, {time.monotonic() - began:.0f} s")
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} cores")
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kill -9s")
    parser.add_argument("--terminals", type=int, default=3, help="closed terminals of each kind")
    parser.add_argument("--disks", type=int, default=3, help="full disks of each kind")
    parser.add_argument("--damaged", type=int, default=1000, help="damaged copies per reader")
    parser.add_argument("--sequences", type=int, default=1000, help="invented sequences")
    parser.add_argument(
        "--replay", type=int, help="do this invented sequence alone, and shorten it"
    )
    parser.add_argument("--epochs", type=int, default=30, help="epochs of each run")
    parser.add_argument("--seed", type=int, default=0, help="what all random choices come from")
    return parser.parse_args()


def _results(bench: Bench, given: argparse.Namespace) -> Iterator[Result]:
    """Only the faults that are wanted more than 0 times."""
    if given.kills:
        yield kill_runs(bench, given.kills, random.Random(f"{given.seed} kills"))
    if given.terminals:
        yield from close_terminals(bench, given.terminals, random.Random(f"{given.seed} pty"))
    if given.disks:
        yield from fill_disks(bench, given.disks, random.Random(f"{given.seed} disks"))
    if given.damaged:
        yield from damage_files(bench, given.damaged, given.seed)
    if given.sequences:
        yield run_sequences(bench.folder, given.sequences, given.seed)


def report(results: Iterator[Result]) -> int:
    """Print a row per fault as it ends, then the remarks; 1 when anything was lost or wrong."""
    print(f"{'fault':<40} | {'tries':>5} | {'lost':>4} | {'wrong':>5}")
    print(f"{'-' * 40} | {'-' * 5} | {'-' * 4} | {'-' * 5}", flush=True)
    failed = 0
    remarks = []
    for result in results:
        row = f"{result.fault:<40} | {result.tries:>5} | {result.lost:>4} | {result.wrong:>5}"
        print(row, flush=True)
        failed += result.lost + result.wrong
        remarks += [f"{result.fault}: {remark}" for remark in result.remarks]
    print("", *remarks, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
