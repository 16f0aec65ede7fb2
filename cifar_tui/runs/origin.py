"""What a run was begun on, which belongs to it for life: its images, and the id it then had."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cifar_tui.data.find import DEMO, find
from cifar_tui.errors import UserError
from cifar_tui.runs.listing import Run, read_meta
from cifar_tui.spec.checks import SETTINGS

USUAL: str = SETTINGS["data"].default
"""Where images lie unless a folder is named."""


@dataclass(frozen=True)
class Origin:
    """What meta.json says of a run's beginning; what is not known is empty."""

    run: str
    """The id that its checkpoints carry; the folder may have another one after `unarchive`."""
    source: str = ""
    fingerprint: str = ""
    folder: str = ""
    classes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """`course images 785141258484a1be`."""
        return image_words(self.source, self.fingerprint)

    def known_as(self, fingerprints: Collection[str]) -> str:
        """What images are known by beside the run: its own fingerprint where they are its own."""
        return self.fingerprint if self.fingerprint in fingerprints else next(iter(fingerprints))

    def remark(self, fingerprint: str) -> str:
        """What to say beside figures of these images; empty where they are the run's own."""
        if not self.fingerprint or fingerprint in ("", self.fingerprint):
            return ""
        return f"These are not the images that it was trained on, {self.words}."

    def where(self, data: str, begun_with: str) -> str:
        """Where its images lie, by the `data` of its settings now and of those it was begun with.

        A relative folder that was left as it was means the one that it meant at the beginning; in
        place of one that is not there, as on another machine, stands the usual one.
        """
        if data != begun_with or data == DEMO:
            return data
        if not Path(data).is_absolute():
            data = DEMO if self.source == DEMO else self.folder or data
        gone = data != DEMO and self.fingerprint and not Path(data).exists()
        return USUAL if gone and _has_images(USUAL) else data


def _has_images(where: str) -> bool:
    try:
        return find(where).path is not None
    except UserError:
        return False


def origin_of(run: Run) -> Origin:
    """What is known of the run's beginning."""
    meta = read_meta(run.path)
    dataset, known_as = meta.get("dataset"), meta.get("run")
    known = dataset if isinstance(dataset, dict) else {}

    def text(name: str) -> str:
        return value if isinstance(value := known.get(name), str) else ""

    classes = known.get("classes")
    return Origin(
        known_as if isinstance(known_as, str) else run.id,
        text("source") or run.summary.source,
        text("fingerprint"),
        text("folder"),
        tuple(map(str, classes)) if isinstance(classes, list) else (),
    )


def image_words(source: str, fingerprint: str = "") -> str:
    """`course images 785141258484a1be`, or the demo set with its warning."""
    if source == DEMO:
        return "the demo set (synthetic)"
    return " ".join(filter(None, [source or "other", "images", fingerprint]))


def other_images(run: Run, origin: Origin, where: str, found: str) -> str:
    """Why a run cannot go on with the images `found` (in words) that are at `where` now."""
    holds = "its images would now be" if found == image_words(DEMO) else f"{where} now holds"
    return (
        f"{run.name} was trained on {origin.words}, and {holds} {found}; a new run trains on "
        f"these: `cifar-tui train --spec {run.path / 'spec.toml'} --data {where}`."
    )


def require_images(run: Run) -> None:
    """Raise UserError where a run that has epochs would not find images of its kind again.

    Only looks for them; their fingerprint is compared by whoever reads them.
    """
    if run.spec is None or not run.summary.epochs_done:
        return
    origin = origin_of(run)
    where = origin.where(run.spec.data, run.summary.spec.get("data", run.spec.data))
    try:
        source = find(where).source
    except UserError as error:
        raise UserError(without_images(run, error)) from None
    if origin.source not in ("", source):
        raise UserError(other_images(run, origin, where, image_words(source)))


def without_images(run: Run, error: UserError) -> str:
    """Why a run cannot go on whose images cannot be read."""
    return (
        f"{run.name} cannot be resumed without its images: {str(error).removesuffix('.')}; "
        f"{run.path / 'spec.toml'} says where they lie (data)."
    )
