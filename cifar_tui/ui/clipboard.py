"""The clipboard of the person's own terminal, reached through OSC 52, also over SSH."""

import os
import subprocess

from textual.app import App

MOST_BYTES = 74_994
"""Of text: common terminals take sequences of 100,000 bytes, and base64 adds a third."""
TMUX_SECONDS = 1.0
"""Longest wait for tmux's answer."""


def refusal(text: str) -> str:
    """Why the text cannot be copied, in one sentence, or nothing; asks tmux where it runs in one.

    A terminal never says whether it took a text.
    """
    size = len(text.encode())
    if size > MOST_BYTES:
        return f"Too large to copy: {size:,} bytes; terminals take up to {MOST_BYTES:,}."
    if "TMUX" in os.environ and _tmux_setting() not in ("on", ""):
        return "Not copied: this tmux passes nothing on until `tmux set -s set-clipboard on`."
    return ""


def _tmux_setting() -> str:
    """tmux's set-clipboard: on, external or off; nothing where it cannot be asked."""
    try:
        asked = subprocess.run(
            ["tmux", "show-options", "-sv", "set-clipboard"],
            capture_output=True,
            text=True,
            timeout=TMUX_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip()


def copy(app: App[None], text: str) -> str:
    """Send the text to the terminal's clipboard; says so, as nothing answers."""
    app.copy_to_clipboard(text)
    return f"Copied {len(text.encode()):,} bytes to the clipboard, if the terminal allows it."
