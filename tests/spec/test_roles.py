"""A setting is declared once: every part of the program asks the declaration what it is."""

import subprocess
import sys


def test_a_made_up_setting_is_seen_everywhere() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.spec.made_up", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, "tests/spec/made_up.py"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
