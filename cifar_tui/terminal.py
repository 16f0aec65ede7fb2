"""The terminal that the program was started in: kept from the app, given back, and let go of."""

import contextlib
import os
import select
import signal
import termios
from collections.abc import Mapping, Sequence
from typing import Any

from cifar_tui.text import plain

SCREEN_OFF = (
    "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"  # no mouse
    "\x1b[?1004l\x1b[?2004l\x1b[<u"  # no reports of focus, pastes as typed, plain keys
    "\x1b[?7h\x1b[?1049l\x1b[?25h\x1b[0m"  # wrapped lines, the screen before, the cursor
)
"""Undoes what the app asks of a terminal."""
PATIENCE = 2000
"""Milliseconds that a terminal has to take what is to be said."""


def notification(title: str, text: str, environ: Mapping[str, str] = os.environ) -> str:
    """What makes a terminal show a notification on the desktop; others show nothing.

    OSC 99 is kitty's way, OSC 777 that of rxvt, foot and VTE; most others take OSC 9, which is sent
    where the terminal is not known, too. tmux (where its allow-passthrough is on) and screen hand
    it on to the terminal around them.
    """
    title, text = plain(title), plain(text)
    term = environ.get("TERM", "")
    if "KITTY_WINDOW_ID" in environ or "kitty" in term:
        code = f"\x1b]99;i=cifar-tui:d=0;{title}\x1b\\\x1b]99;i=cifar-tui:p=body;{text}\x1b\\"
    elif "VTE_VERSION" in environ or term.startswith(("rxvt", "foot")):
        code = f"\x1b]777;notify;{title.replace(';', ',')};{text}\x1b\\"
    else:
        code = f"\x1b]9;{title}: {text}\x1b\\"
    if environ.get("STY"):
        return "\x1bP" + code.replace("\x1b\\", "\a") + "\x1b\\"
    if environ.get("TMUX") or term.startswith(("tmux", "screen")):
        return "\x1bPtmux;" + code.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    return code


class Terminal:
    """The terminal of this process, and the parent that waits in its foreground, if any."""

    def __init__(self) -> None:
        self._attributes = _attributes()
        self._parent: int | None = None

    def fork(self) -> None:
        """Go on in a child process; this one waits in the foreground until that ends or `leave`s.

        Thus the prompt can come back while the child trains on, and a child that is killed leaves
        no broken terminal behind. Does nothing without a terminal, or where no process can be had.
        """
        if not (os.isatty(0) and os.isatty(1)):
            return
        ours, theirs = os.pipe()
        try:
            child = os.fork()
        except OSError:
            return
        if child:
            os.close(theirs)
            os._exit(self._wait_for(child, ours))
        os.close(ours)
        self._parent = theirs

    def leave(self, code: int) -> None:
        """Go on without the terminal; a waiting parent ends with the exit code."""
        let_go((0, 1, 2))
        with contextlib.suppress(OSError):
            os.setsid()
        if self._parent is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._parent, bytes([code]))

    def restore(self) -> None:
        """Have the terminal as it was at the start."""
        say(SCREEN_OFF, end="")
        with contextlib.suppress(termios.error):
            if self._attributes is not None:
                termios.tcsetattr(0, termios.TCSANOW, self._attributes)

    def _wait_for(self, child: int, pipe: int) -> int:
        """Pass on what ends this process, and wait; returns the exit code."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.kill(child, number))
        left = os.read(pipe, 1)
        if left:
            return left[0]
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return code
        if code != -signal.SIGINT:
            self.restore()
            say(
                f"cifar-tui was ended by {signal.Signals(-code).name}. `cifar-tui runs list` shows "
                "what became of its runs, `cifar-tui runs resume RUN` goes on with one.",
                2,
            )
        return 128 - code


def say(text: str, descriptor: int = 1, end: str = "\n") -> None:
    """Write a line; a terminal may be gone, or take nothing for ever, and holds nobody up."""
    rest = (text + end).encode()
    with contextlib.suppress(OSError):
        if not os.isatty(descriptor):
            os.write(descriptor, rest)
            return
        terminal = os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            room = select.poll()
            room.register(terminal, select.POLLOUT)
            while rest and room.poll(PATIENCE):
                rest = rest[os.write(terminal, rest) :]
        finally:
            os.close(terminal)


def let_go(descriptors: Sequence[int]) -> None:
    """Point standard descriptors away from a terminal that is gone, so that printing is safe."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _attributes() -> list[Any] | None:
    try:
        return termios.tcgetattr(0)
    except termios.error:
        return None
