"""The images of a data set, page by page, of all classes or of one."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from cifar_tui.data.dataset import NAMES, Dataset
from cifar_tui.data.loading import IMAGES
from cifar_tui.errors import Tick
from cifar_tui.features.images.core import class_names, in_turns, of_class
from cifar_tui.spec.settings import CLASSES
from cifar_tui.tui.jobs import run_job
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.pictures import Pictures
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine


class ImagePages(Pictures):
    """Images of one split."""

    def __init__(self) -> None:
        super().__init__()
        self._images: NDArray[np.uint8] = np.empty((0, 0, 0, 0), np.uint8)
        self._chosen: list[int] = []
        self._captions: list[str] = []

    def show(self, images: NDArray[np.uint8], chosen: list[int], captions: list[str]) -> None:
        """Show those of these places, each with its caption."""
        self._images, self._chosen, self._captions, self.first = images, chosen, captions, 0
        self.draw((id(images), tuple(chosen)))

    @property
    def count(self) -> int:
        return len(self._chosen)

    def pixels(self, place: int) -> bytes:
        return self._images[self._chosen[place]].tobytes()

    def captions(self, room: int) -> list[str]:
        return [text[:room] for text in self._captions]


class ImagesScreen(CifarScreen):
    """Pages of images: `s` takes the next split, up and down another class."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("images")

    DEFAULT_CSS = "ImagesScreen ImagePages { height: 1fr; }"

    def __init__(self, data: str) -> None:
        super().__init__()
        self._data = data
        self._dataset: Dataset | None = None
        self._split = NAMES[0]
        self._class = -1
        """The class that is shown; -1 for all of them in turns."""

    def compose(self) -> ComposeResult:
        yield TopLine("new")
        yield Static(" Reading the images ...", id="head", classes="line", markup=False)
        yield ImagePages()
        yield KeyLine()

    def on_mount(self) -> None:
        def read(tick: Tick) -> Dataset:
            return IMAGES.open(self._data)

        run_job(self, read, self._take, lambda sentence: self.say("head", f" {sentence}"))

    def _take(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._show()

    def _show(self) -> None:
        dataset = self._dataset
        if dataset is None:
            return
        split = dataset.splits[self._split]
        names = class_names(dataset)
        if split.labels is None:
            chosen, told = list(range(len(split))), [f"#{i}" for i in range(len(split))]
        else:
            one = self._class
            chosen = in_turns(split.labels) if one < 0 else of_class(split.labels, one)
            told = [f"#{i} {names[split.labels[i]]}" for i in chosen]
        self.query_one(ImagePages).show(split.images, chosen, told)
        self._say()

    def on_pictures_turned(self) -> None:
        self._say()

    def _say(self) -> None:
        """Which images these are."""
        dataset = self._dataset
        if dataset is None:
            return
        pages, split = self.query_one(ImagePages), dataset.splits[self._split]
        kind = "the demo set (synthetic)" if dataset.synthetic else f"{dataset.source} images"
        which = "all classes" if self._class < 0 else f"class {class_names(dataset)[self._class]}"
        which = "no labels" if split.labels is None else which
        places = pages.places
        shown = f"{places.start + 1:,}-{places.stop:,} of {pages.count:,}" if places else "none"
        self.say("head", f" {self._split} split of {kind}, {which}: {shown}")

    def action_turn(self, by: int) -> None:
        self.query_one(ImagePages).turn(by)

    def action_pick(self, by: int) -> None:
        self._class = (self._class + 1 + by) % (CLASSES + 1) - 1
        self._show()

    def action_split(self) -> None:
        self._split = NAMES[(NAMES.index(self._split) + 1) % len(NAMES)]
        self._show()
