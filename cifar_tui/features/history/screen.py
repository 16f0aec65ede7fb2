"""The screen of History: the list of runs, and a key for each thing that can be done with them."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from cifar_tui.features.history import actions, queue_actions
from cifar_tui.features.history.run_list import RunList
from cifar_tui.features.history.selection import Refusal
from cifar_tui.query.view import named_view, view_words
from cifar_tui.text import plain
from cifar_tui.tui.keys import bindings
from cifar_tui.tui.row_table import RowTable
from cifar_tui.tui.screen import CifarScreen, KeyLine, TopLine


def _action(do: Callable[[RunList], None]) -> Callable[["HistoryScreen"], None]:
    """What a key does: something with the list, or a sentence about why it does nothing."""

    def act(screen: "HistoryScreen") -> None:
        runs = screen.query_one(RunList)
        try:
            do(runs)
        except Refusal as why:
            if str(why):
                runs.tell(str(why))

    return act


class HistoryScreen(CifarScreen):
    """All runs in one table, and what can be done with them."""

    CSS_PATH = "history.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("history")
    AUTO_FOCUS = "RowTable"

    action_filter = _action(RunList.type_filter)
    action_sort = _action(RunList.sort)
    action_reverse = _action(RunList.reverse)
    action_last = _action(RunList.best_or_last)
    action_mark = _action(RunList.mark)
    action_mark_all = _action(RunList.mark_all)
    action_mark_range = _action(RunList.mark_range)
    action_unmark = _action(RunList.unmark)
    action_show_trash = _action(RunList.show_trash)
    action_columns = _action(actions.columns)
    action_views = _action(actions.views)
    action_group = _action(actions.group)
    action_open = on(RowTable.RowSelected)(_action(actions.open_run))
    action_info = _action(actions.info)
    action_compare = _action(actions.compare)
    action_mattered = _action(actions.mattered)
    action_weights = _action(actions.weights)
    action_surface = _action(actions.surface)
    action_save = _action(actions.save)
    action_export = _action(actions.export)
    action_ensemble = _action(actions.ensemble)
    action_agree = _action(actions.agree)
    action_archive = _action(actions.archive)
    action_import = _action(actions.import_)
    action_annotate = _action(actions.annotate)
    action_pin = _action(actions.pin)
    action_keep_best = _action(actions.keep_only_best)
    action_trash = _action(actions.trash)
    action_restore = _action(actions.restore)
    action_empty_trash = _action(actions.empty)
    action_new_from = _action(queue_actions.new_from)
    action_resume = _action(queue_actions.resume)
    action_resume_left = _action(queue_actions.resume_left)
    action_sooner = _action(partial(queue_actions.move, step=-1))
    action_later = _action(partial(queue_actions.move, step=1))

    def compose(self) -> ComposeResult:
        yield TopLine("history")
        yield RunList()
        yield KeyLine()

    def more_commands(self) -> Iterable[tuple[str, str, Callable[[], object]]]:
        """The configuration's views."""
        config, runs = self.cifar.config, self.query_one(RunList)
        for name, view in config.views.items():
            show = partial(runs.show_view, named_view(config, name))
            yield f"View {plain(name)}", view_words(view), show

    def on_screen_resume(self) -> None:
        """Read at once when the screen comes back."""
        self.query_one(RunList).read_soon()

    def on_resize(self) -> None:
        """Fit the columns to the new width."""
        self.query_one(RunList).fill()
