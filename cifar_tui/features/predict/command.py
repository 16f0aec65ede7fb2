"""The command `export`: predictions.csv of one run, or of what validates best of several."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cifar_tui.console import printing
from cifar_tui.console.flags import RUN, RUNS, DataFolder, Json, RunsDir
from cifar_tui.console.help import examples
from cifar_tui.errors import UserError
from cifar_tui.features.predict.core import Export, Exported
from cifar_tui.runs.listing import Runs


@examples(
    "export best",
    "export best --output predictions.csv --flips",
    "export lab2-bn lab2-swish --output ensemble.csv",
    "export best --weights resnet.pth",
)
def export(
    run: Annotated[
        tuple[str, ...],
        RUN,
        Parameter(help="A run; of several, what validates best: one or all together."),
    ],
    /,
    *,
    output: Annotated[Path | None, Parameter(help="File to write.", metavar="FILE")] = None,
    flips: Annotated[
        bool | None,
        Parameter(
            help="Also try the mean over each image and its mirror image; taken where val_acc is "
            "better. With several runs this is the default."
        ),
    ] = None,
    overwrite: Annotated[bool, Parameter(negative=(), help="Replace the file.")] = False,
    weights: Annotated[
        Path | None,
        Parameter(
            help="Write the best epoch's weights instead, as `torch.save(net.state_dict(), FILE)` "
            "does.",
            metavar="FILE",
        ),
    ] = None,
    data: DataFolder = None,
    json: Json = False,
    runs: RunsDir = RUNS,
) -> None:
    """Write predictions.csv for the test split from the best checkpoints.

    With several runs or --flips, validation accuracy alone chooses, and predictions.json beside it
    says what was tried and taken.
    """
    found = Runs(runs).find_each(run)
    if weights is not None:
        from cifar_tui.features.predict.compute import export_weights

        if len(found) > 1 or output is not None or flips:
            raise UserError("--weights writes those of one run, without predictions.")
        export_weights(found[0], weights, overwrite=overwrite)
        told = {"run": found[0].id, "output": str(weights)}
        printing.say(told, f"The weights of {found[0].id} are in {weights}.", json)
        return
    with printing.progress("predicting", json) as tick:
        from cifar_tui.features.predict.compute import export_best, export_predictions

        made: Export | Exported
        if len(found) == 1 and not flips:
            made = export_predictions(found[0], output, data=data, overwrite=overwrite, tick=tick)
        else:
            made = export_best(
                found,
                output,
                flips=flips is not False,
                data=data,
                overwrite=overwrite,
                tick=tick,
            )
    printing.say(made.to_dict(), made.sentence(), json)


COMMANDS = {
    "export": export,
}
