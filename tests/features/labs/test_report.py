"""The report: what stands in its Markdown, its figures, and what it says when it cannot be made."""

import sys
from pathlib import Path

import pytest

from cifar_tui.cli import run
from cifar_tui.errors import UserError
from cifar_tui.features.labs.images import ImageSet, choose_images
from cifar_tui.features.labs.report import markdown, write_report
from cifar_tui.queue.train_run import perform
from cifar_tui.runs.folder import RunFolder
from cifar_tui.runs.listing import Runs
from tests.features.labs.conftest import Ask, Save, specs


def save_all(save: Save, name: str, *accs: float, **options: object) -> None:
    for seed in (0, 1):
        for spec, acc in zip(specs(name, seed=seed), accs, strict=True):
            save(spec, acc + 0.004 * seed, **options)


def test_a_section_has_table_caption_verdict_and_notes(save: Save, ask: Ask) -> None:
    save_all(save, "lab1-decay", 0.63, 0.67)
    text = markdown(
        [ask("lab1-decay"), ask("lab2-lr")],
        {"lab1-decay": [Path("figures/lab1-decay.png"), Path("figures/lab1-decay.svg")]},
    )
    assert "## lab1-decay" in text
    assert "Does lr decay help (x0.1 every 10 epochs)? **Yes, as expected: decay 0.6720" in text
    assert (
        "| decay | 0.6720 ± 0.0028 | 2 | 0.6920 | +0.0200 | 0.6978 | 0.675-0.680 (3) | 2.3100 |"
        in text
    )
    assert "![lab1-decay](figures/lab1-decay.png)" in text
    assert "[SVG](figures/lab1-decay.svg)" in text
    caption = next(line for line in text.splitlines() if line.startswith("*lab1-decay"))
    for part in ("simplenn", "lr 0.01", "30 epochs", "seeds 0, 1", "cpu", "course images"):
        assert part in caption
    assert "schedule" not in caption, "it differs between the settings"
    assert "0.65: reached" in text
    assert "one epoch late" in text
    assert "Not trained so far: lab2-lr." in text


def test_scaled_and_synthetic_results_say_so(save: Save, ask: Ask) -> None:
    for spec, acc in zip(specs("lab2-bn", epochs=2, subset=100), (0.3, 0.5), strict=True):
        save(spec, acc, source="demo")
    answer = ask("lab2-bn", ImageSet("demo"), epochs=2, subset=100)
    text = markdown([answer], {"lab2-bn": [Path("a.png")]})
    assert "the demo set (synthetic)" in text
    assert "No figure here says anything about CIFAR-10." in text
    assert "2 epochs (scaled: 2 of 30 epochs, the first 100 training images)" in text
    assert "One seed each" in text


def test_the_jpeg_images_are_named_for_what_they_are(save: Save, ask: Ask) -> None:
    jpeg = "785141258484a1be"
    save(specs("lab1-baseline")[0], 0.637, fingerprint=jpeg)
    answer = ask("lab1-baseline", ImageSet("course", jpeg))
    text = markdown([answer], {"lab1-baseline": [Path("a.png")]})
    assert "JPEG" in text and "0.637" in text and "0.65: not reached" in text


def test_a_strangers_device_and_images_are_text_and_nothing_else(
    save: Save, ask: Ask, tmp_path: Path
) -> None:
    evil = "x](javascript:alert(1)) <script>\n\n# pwned\x1b[2J ![x](http://evil/p.png)"
    for spec in specs("lab2-bn"):
        folder = save(spec, 0.7, source=evil)
        folder.write_meta({"device": evil, "dataset": {"folder": "/x", "fingerprint": evil}})
    images = choose_images("demo", Runs(tmp_path / "runs").all())
    assert images.fingerprint == ""
    text = markdown([ask("lab2-bn", ImageSet(evil))], {"lab2-bn": [Path("a.png")]})
    assert "pwned" in text
    assert "\n# pwned" not in text
    assert "\x1b" not in text
    for line in text.splitlines():
        assert "<script" not in line.replace("\\<", "")
        assert "](javascript" not in line.replace("\\]", "")


def test_without_matplotlib_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    arguments = ["lab", "report", "all", "--output", str(tmp_path / "out")]
    assert run([*arguments, "--runs", str(tmp_path)]) == 2
    assert "pip install 'cifar-tui[report]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_to_report_is_said(ask: Ask, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(UserError, match="lab run lab2-bn"):
        write_report([ask("lab2-bn")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_figures_are_written_as_png_and_svg_beside_the_markdown(
    save: Save, ask: Ask, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    save_all(save, "lab2-bn", 0.68, 0.72)
    save_all(save, "lab1-baseline", 0.64)
    answers = [ask("lab1-baseline"), ask("lab2-bn"), ask("lab2-lr")]
    path = write_report(answers, tmp_path / "out")
    assert path.name == "results.md"
    text = path.read_text()
    for name in ("lab1-baseline", "lab2-bn"):
        picture = path.parent / "figures" / f"{name}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
        drawing = (path.parent / "figures" / f"{name}.svg").read_text()
        assert "<svg" in drawing
        assert f"figures/{name}.png" in text
    assert write_report(answers[1:2], tmp_path / "one").name == "lab2-bn.md"


def test_what_is_handed_in_has_no_figures_of_others_but_commands_and_code(
    save: Save, ask: Ask
) -> None:
    save_all(save, "lab2-bn", 0.68, 0.72)
    pictures = {"lab2-bn": [Path("a.png")]}
    usual = markdown([ask("lab2-bn")], pictures)
    mine = markdown([ask("lab2-bn")], pictures, hand_in=True)
    assert "0.7224" in usual and "other students" in usual and "## Code" not in usual
    assert "0.7224" not in mine and "other students" not in mine
    assert "cifar-tui train --augment --batch-norm\n" in mine
    assert "class SimpleNN(nn.Module):" in mine and "class ResNet(" not in mine


def test_a_report_on_l1_draws_the_weights(ask: Ask, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for spec in specs("lesson-sparsity", epochs=1, subset=64):
        folder = RunFolder.create(tmp_path / "runs", spec.model_copy(update={"data": "demo"}))
        perform(folder)
    answer = ask("lesson-sparsity", ImageSet("demo"), epochs=1, subset=64)
    text = write_report([answer], tmp_path / "out").read_text()
    assert "![lesson-sparsity-weights](figures/lesson-sparsity-weights.png)" in text
    for kind in ("png", "svg"):
        assert (tmp_path / "out" / "figures" / f"lesson-sparsity-weights.{kind}").stat().st_size
