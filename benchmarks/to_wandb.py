"""The same runs for W&B's viewer: `python benchmarks/to_wandb.py curves.json runs.json FOLDER`.

Reads what `runs save --all --output runs.json` and `--what curves --output curves.json` wrote, and
logs each run offline; needs wandb, and nothing of this project.
"""

import argparse
import itertools
import json
from pathlib import Path

RESULTS = ("id", "name", "images", "status", "tag", "note", "time", "epochs_done", "best_epoch")


def main(curves: Path, runs: Path, folder: Path) -> None:
    """One offline W&B run per run: its settings as config, its figures per epoch, its tags."""
    import wandb

    logs = {
        run: list(rows)
        for run, rows in itertools.groupby(json.loads(curves.read_text()), lambda row: row["id"])
    }
    quiet = wandb.Settings(console="off", x_disable_stats=True, silent=True)
    for run in json.loads(runs.read_text()):
        config = {name: value for name, value in run.items() if name not in RESULTS}
        config = {
            name: value for name, value in config.items() if not name.endswith(("acc", "loss"))
        }
        with wandb.init(
            project="cifar",
            name=run["name"],
            dir=folder,
            mode="offline",
            config=config | {"status": run["status"], "images": run["images"]},
            tags=list(run["tag"] or ()),
            notes=run["note"] or None,
            settings=quiet,
        ) as logged:
            for row in logs.get(run["id"], []):
                figures = {n: v for n, v in row.items() if n not in ("id", "name", "images")}
                logged.log({n: v for n, v in figures.items() if v is not None}, step=row["epoch"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("curves", "runs", "folder"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    main(given.curves, given.runs, given.folder)
