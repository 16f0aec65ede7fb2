"""The program in processes that need import nothing: forks of one that has imported all of it.

Each enters at `cifar_tui.__main__`, as a fresh interpreter would, and what it starts in the
background is forked in the same way. What a fresh interpreter does before is for others to prove.
"""

import contextlib
import fcntl
import gc
import importlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, NoReturn

import cifar_tui.__main__

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cifar_tui"
MODULES = [
    *(
        ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in PACKAGE.rglob("[!_]*.py")
    ),
    "torch._dynamo",
]
"""All that a program may need, so that its forks need not import it; the last one is what the
first optimiser imports."""

TOLD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that a program may meet in its own way; held back until it is entered."""
KEPT: list[object] = []
"""The streams that a process had before it was forked."""


def load_program() -> None:
    """Import all that a program may need, so that its forks need not."""
    for name in MODULES:
        with contextlib.suppress(ImportError):  # what needs Ray
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else each fork would copy what it only counts


def enter(argv: Sequence[str], where: Path, host: str = "") -> None:
    """What the interpreter does for `cifar-tui ARGV`, on a machine of that name."""
    import torch

    os.chdir(where)
    if host:
        socket.gethostname = lambda: host
    name_process(argv[0] if argv else "app")
    torch.set_num_threads(1)
    sys.argv = ["cifar-tui", *argv]
    subprocess.Popen = Forked  # type: ignore[misc]
    for number in TOLD:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
    cifar_tui.__main__.main()


def leave(work: Callable[[], object]) -> NoReturn:
    """Do the work and end as the interpreter does, without its clean-up."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


class Forked(subprocess.Popen[Any]):
    """Starts another process of ours as a fork of this one, and any other program as usual."""

    def __init__(self, args: Any, **options: Any) -> None:
        if isinstance(args, list) and args[0] == sys.executable and "cifar_tui" in args:
            argv = args[args.index("cifar_tui") + 1 :]
            options["preexec_fn"] = partial(_instead_of_exec, argv, options.get("env"))
        super().__init__(args, **options)


def _instead_of_exec(argv: Sequence[str], environ: dict[str, str] | None) -> NoReturn:
    """Where the child would turn into another program; its standard files are set already."""
    os.closerange(3, 1024)  # the parent waits until one of them is closed
    gc.enable()
    if environ is not None:
        _set_environment(environ)
    signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
    renew_streams()
    leave(partial(enter, argv, Path.cwd()))


def _set_environment(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)


def renew_streams() -> None:
    """Let Python know that other files are behind the standard descriptors.

    The old streams are kept: to close one would wait for a lock that a thread of the parent held
    at the fork, and that nobody here gives back.
    """
    KEPT.extend((sys.stdin, sys.stdout, sys.stderr))
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def name_process(name: str) -> None:
    """What the kernel calls this process."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name[:15])


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([*MODULES, "tests.drawn"])


class ForkedCommand:
    """`cifar-tui ARGV` in a working folder, started without its imports; otherwise as a Popen.

    It speaks into two pipes, or to the terminal whose side for programs is given; the end of one
    that controls it is signalled to it.
    """

    def __init__(
        self,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str] = os.environ,
        terminal: int | None = None,
        controls: bool = True,
    ) -> None:
        (self.stdout, out), (self.stderr, err) = _text_pipe(), _text_pipe()
        streams = (Connection(os.open(os.devnull, os.O_RDWR)), out, err)
        if terminal is not None:
            streams = tuple(Connection(os.dup(terminal)) for _ in range(3))
        given = (argv, cwd, dict(env), streams, controls)
        self._process = FORKS.Process(target=_run, args=given, daemon=True)
        with contextlib.chdir(ROOT):  # where the first one of all imports the modules
            self._process.start()
        for stream in (*streams, out, err):
            stream.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.is_alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self, timeout: float = 120.0) -> int:
        """Its exit code once it has ended, negative for a signal; fails after so many seconds."""
        self._process.join(timeout)
        code = self._process.exitcode
        assert code is not None, f"it did not end within {timeout:.0f} seconds"
        return code

    def communicate(self, timeout: float = 300.0) -> tuple[str, str]:
        """All that it, and what it leaves in the background, says into its two pipes."""
        said = [""]
        reader = threading.Thread(target=lambda: said.append(self.stderr.read()))
        reader.start()
        late = threading.Timer(timeout, self.kill)
        late.start()
        out = self.stdout.read()
        reader.join()
        late.cancel()
        return out, said[-1]


def _text_pipe() -> tuple[IO[str], Connection]:
    """Where we read, and where the program writes."""
    ours, theirs = os.pipe()
    return open(ours), Connection(theirs, readable=False)


def _run(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    streams: Sequence[Connection],
    controls: bool,
) -> NoReturn:
    """Be this program, in a session of its own."""
    os.setsid()
    gc.freeze()
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    if controls and os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    _set_environment(env)
    renew_streams()
    leave(partial(enter, argv, cwd))
