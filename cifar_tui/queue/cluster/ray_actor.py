"""The dispatcher as an actor that Ray keeps, and makes again after its process died."""

from cifar_tui.queue.cluster.ray_dispatcher import Dispatcher

NAMESPACE = "cifar-tui"


class Detached(Dispatcher):
    """A dispatcher that begins when Ray makes it, or makes it again after its process died."""

    def __init__(self, runs: str) -> None:
        super().__init__(runs)
        self.start()
