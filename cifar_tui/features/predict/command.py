"""The commands about predictions: `export`, of one run or the best of several, and `runs agree`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import RUNS, Json, RunsDir
from cifar_tui.runs.listing import Run, Runs

DataFolder = Annotated[str | None, Parameter(name="--data", help="Folder with the images.")]


def export(
    run: Annotated[
        tuple[str, ...],
        Parameter(name="RUN", help="A run; of several, what validates best: one or all together."),
    ],
    /,
    *,
    output: Annotated[Path | None, Parameter(help="File to write.")] = None,
    flips: Annotated[
        bool | None,
        Parameter(
            help="Also try the mean over each image and its mirror image; taken where val_acc is "
            "better. With several runs this is the default."
        ),
    ] = None,
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace the file.")] = False,
    data: DataFolder = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Write predictions.csv for the test split from the best checkpoints.

    With several runs or --flips, validation accuracy alone chooses, and predictions.json beside it
    says what was tried and taken.
    """
    known = Runs(runs)
    found = list({one.id: one for one in map(known.find, run)}.values())
    with printing.export_progress(json) as tick:
        if len(found) == 1 and not flips:
            from cifar_tui.features.predict.compute import export_predictions

            single = export_predictions(found[0], output, data=data, overwrite=overwrite, tick=tick)
            told, sentence = single.to_dict(), single.sentence()
        else:
            from cifar_tui.features.predict.compute import export_best

            best = export_best(
                found,
                output,
                flips=flips is not False,
                data=data,
                overwrite=overwrite,
                tick=tick,
            )
            told, sentence = best.to_dict(), best.sentence()
    printing.say(told, sentence, json)


def agree(
    a: Annotated[str, Parameter(name="A", help="A run, or a predictions file.")],
    b: Annotated[str, Parameter(name="B", help="Another one.")],
    /,
    *,
    split: Annotated[
        Literal["val", "test"] | None,
        Parameter(help="Which images; by default val, and test where a file is given."),
    ] = None,
    data: DataFolder = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Show how far two runs' predictions agree, and whether one is better than chance."""
    known = Runs(runs)
    one, other = _subject(a, known), _subject(b, known)
    some_file = isinstance(one, Path) or isinstance(other, Path)
    from cifar_tui.features.predict.compute import agreement

    with printing.progress("predicting", json) as tick:
        found = agreement(
            one, other, split or ("test" if some_file else "val"), data=data, tick=tick
        )
    printing.say(found.to_dict(), "\n".join(found.lines()), json)


def _subject(wanted: str, known: Runs) -> Run | Path:
    """The file or run meant: what ends in .csv, or has a slash in it, is a file."""
    path = Path(wanted)
    if path.suffix == ".csv" or "/" in wanted:
        return path.expanduser()
    return known.find(wanted)


COMMANDS = {
    "export": export,
    "runs agree": agree,
}
