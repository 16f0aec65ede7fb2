"""A command and a webhook are told how runs ended, and never end training."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cifar_tui.errors import UserError
from cifar_tui.queue.notify import Notifier, queue_text
from cifar_tui.runs.listing import read_run
from tests.apps import SaveRun
from tests.conftest import Command


class Hook:
    """A webhook on this machine, and what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.code = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                hook.told.append(json.loads(self.rfile.read(length)))
                self.send_response(hook.code)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def wait_until_told() -> None:
    for thread in threading.enumerate():
        if thread.name == "notifier":
            thread.join()


def test_a_webhook_hears_of_a_failure_at_once_and_of_all_runs_at_the_end(
    save_run: SaveRun, tmp_path: Path, hook: Hook
) -> None:
    good = save_run((0.5, 0.7246), name="good")
    bad = save_run((0.1,), name="bad", status="diverged")
    last = save_run((0.6,), name="last")
    notifier = Notifier(tmp_path / "runs", webhook=hook.url)
    notifier.done(good.id, False)
    notifier.done(bad.id, False)
    wait_until_told()
    (told,) = hook.told
    assert (told["event"], told["text"]) == ("run_ended", "bad diverged after epoch 1.")
    assert [run["id"] for run in told["runs"]] == [bad.id]
    notifier.done(last.id, True)
    wait_until_told()
    told = hook.told[-1]
    text = "All 3 runs are done: 2 finished, 1 diverged; best val_acc 0.7246 @ 2 (good)."
    assert (told["event"], told["text"]) == ("queue_ended", text)
    assert told["counts"] == {"finished": 2, "diverged": 1}
    assert [run["name"] for run in told["runs"]] == ["good", "bad", "last"]
    assert told["runs"][0]["best"]["val_acc"] == 0.7246
    notifier.done(last.id, True)
    wait_until_told()
    assert [run["name"] for run in hook.told[-1]["runs"]] == ["last"], "each queue by itself"


def test_what_could_not_be_told_is_said_without_the_secret(
    save_run: SaveRun, tmp_path: Path, hook: Hook
) -> None:
    run = save_run(name="one")
    said: list[str] = []
    hook.code = 404
    notifier = Notifier(tmp_path / "runs", "echo no such room >&2; exit 3", hook.url)
    notifier.say = said.append
    notifier.done(run.id, True)
    wait_until_told()
    assert said == [
        "The command of --on-end ended with code 3: no such room.",
        "The webhook at 127.0.0.1 answered 404 Not Found.",
    ]


def test_a_run_of_one_is_told_in_its_own_words(save_run: SaveRun) -> None:
    (finished,) = [read_run(save_run((0.5, 0.7), name="one").path)]
    assert queue_text([finished]) == "one finished: best val_acc 0.7000 @ 2."


@pytest.mark.parametrize("url", ["hooks.example.org", "file:///etc/passwd", "https://"])
def test_what_is_no_web_address_is_refused_before_anything_trains(
    cifar: Command, tmp_path: Path, url: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAR_TUI_WEBHOOK", url)
        with pytest.raises(UserError, match="CIFAR_TUI_WEBHOOK must be a URL"):
            Notifier(tmp_path)
    done = cifar("train", "--data", "demo", "--webhook", url)
    assert done.returncode == 2
    assert "--webhook takes a URL that begins with https:// or http://." in done.stderr
    assert not (tmp_path / "saved_model").exists()


@pytest.mark.parametrize("how", [(), ("--detach",), ("--devices", "cpu:1")], ids=" ".join)
def test_training_without_the_app_tells_a_command(
    cifar: Command, tmp_path: Path, tiny_course: Path, how: tuple[str, ...]
) -> None:
    told = tmp_path / "told.json"
    command = f"cat > {tmp_path}/part && mv {tmp_path}/part {told}"
    flags = ("--data", str(tiny_course), "--epochs", "1", "--name", "mine", "--on-end", command)
    done = cifar("train", *flags, *how)
    assert done.returncode == 0, done.stderr
    watched = cifar("runs", "watch", "last")
    assert watched.returncode == 0, watched.stderr
    end = threading.Event()
    for _ in range(600):
        if told.exists():
            break
        end.wait(0.1)
    heard = json.loads(told.read_text())
    assert heard["event"] == "queue_ended"
    assert heard["text"].startswith("mine finished: best val_acc 0.")


def test_the_address_of_a_webhook_is_in_no_file_of_the_run(
    cifar: Command, tmp_path: Path, tiny_course: Path, hook: Hook
) -> None:
    flags = ("--data", str(tiny_course), "--epochs", "1")
    for given in (("--webhook", hook.url), (f"--webhook={hook.url}",)):
        assert cifar("train", *flags, *given).returncode == 0
    assert len(hook.told) == 2
    for path in (tmp_path / "saved_model").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes(), path
