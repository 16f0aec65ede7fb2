"""How fast a run trains, measured between its batches."""


class Rate:
    """Training speed over the last seconds, and the length of a whole epoch."""

    def __init__(self) -> None:
        self.value: float | None = None
        """Images per second, smoothed; None before it is known."""
        self._epoch_seconds: float | None = None
        self._epoch = 0
        self._epoch_began = 0.0
        self._images = 0
        self._left = 0
        self._mark: tuple[float, int] | None = None

    def count(self, training: bool, epoch: int, done: int, images: int, now: float) -> None:
        """Take note of one look between two batches, `done` of the phase's `images` into it."""
        if epoch != self._epoch:
            if epoch == self._epoch + 1 and self._epoch_began:
                self._epoch_seconds = now - self._epoch_began
            self._epoch, self._epoch_began, self._mark = epoch, now, None
        if not training:
            self._left = 0
            return
        self._images, self._left = images, images - done
        if self._mark and now > self._mark[0] and done > self._mark[1]:
            fresh = (done - self._mark[1]) / (now - self._mark[0])
            self.value = fresh if self.value is None else 0.7 * self.value + 0.3 * fresh
        self._mark = (now, done)

    def forget(self) -> None:
        """Begin anew after a pause."""
        self._mark = None
        self._epoch_began = 0.0

    def seconds_left(self, epochs: int) -> float | None:
        """Time for the rest of this epoch and `epochs` more; None before the speed is known."""
        if not self.value:
            return None
        per_epoch = self._epoch_seconds or self._images / self.value
        return epochs * per_epoch + self._left / self.value
