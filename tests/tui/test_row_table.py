"""A table on a screen: columns that fit the window, literal rows, colours, the mouse's wheel."""

import pytest
from textual.app import App, ComposeResult
from textual.color import Color
from textual.events import MouseScrollDown, MouseScrollUp
from textual.widgets import Static

from cifar_tui.table import Column, Table, cut_middle, figures
from cifar_tui.text import tone_of
from cifar_tui.tui.row_table import RowTable
from tests.waiting import wait_for

COLUMNS = (
    Column("name", 8, cut=cut_middle),
    *figures("loss", width=7),
    Column("why", 9, grows=True),
)
ROWS = [("lr-0.1-seed-12", "0.5", "[b]a\x1b long[/b] explanation"), ("a", "12.5", "-")]


class TableApp(App[None]):
    """A table, and the same as lines without a cursor."""

    def compose(self) -> ComposeResult:
        yield RowTable()
        yield Static(id="lines", markup=False)

    def on_mount(self) -> None:
        table = Table(COLUMNS, ROWS)
        self.query_one(RowTable).show_table(table)
        self.query_one("#lines", Static).update("\n".join(table.screen_lines(28)))


async def test_columns_grow_into_the_window_and_texts_stay_literal() -> None:
    app = TableApp()
    async with app.run_test(size=(28, 10)) as pilot:
        table = app.query_one(RowTable)
        narrow = ["lr-…-12 ", "   0.5 ", "[b]a\\x1b lo… "]
        await wait_for(pilot, lambda: list(table.get_row_at(0)) == narrow)
        assert table.keys == ["lr-0.1-seed-12", "a"]
        assert str(app.query_one("#lines", Static).content).splitlines() == [
            "name      loss why",
            "lr-…-12    0.5 [b]a\\x1b lo…",
            "a         12.5 -",
        ]
        await pilot.resize_terminal(80, 10)
        await wait_for(pilot, lambda: table.get_row_at(0)[-1].endswith("explanation "))
        assert table.get_row_at(0)[:2] == ("lr-…-12 ", "   0.5 ")


def test_only_some_columns() -> None:
    table = Table(COLUMNS, ROWS).only("why", "name")
    assert (table.names, table.rows[1]) == (["why", "name"], ("-", "a"))


KEYS = [str(i) for i in range(100)]


class Rows(App[None]):
    """A table of a hundred rows on the whole screen."""

    CSS = "RowTable { height: 1fr; }"

    def compose(self) -> ComposeResult:
        yield RowTable()

    def on_mount(self) -> None:
        table = self.query_one(RowTable)
        table.set_columns([Column("n", 5), Column("status", 20, tone=tone_of)])
        words = {"1": "✗ failed", "2": "✓ finished"}
        table.show(KEYS, lambda key: (key, words.get(key, "· queued")))


def wheel(table: RowTable, kind: type[MouseScrollDown | MouseScrollUp]) -> None:
    rest = dict.fromkeys(("delta_x", "delta_y", "button"), 0)
    table.post_message(kind(table, 1, 1, **rest, shift=False, meta=False, ctrl=False))


async def test_the_wheel_scrolls_and_keeps_the_cursor_in_sight() -> None:
    app = Rows()
    async with app.run_test(size=(40, 11)) as pilot:
        table = app.query_one(RowTable)
        wheel(table, MouseScrollDown)
        wheel(table, MouseScrollDown)
        await pilot.pause()
        assert (table.scroll_offset.y, table.cursor_row) == (6, 6)
        table.action_last()
        wheel(table, MouseScrollUp)
        await pilot.pause()
        assert table.scroll_offset.y == 100 - 10 - 3
        assert table.cursor_row == 100 - 1 - 3


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light"])
async def test_a_status_has_the_theme_s_colour_but_under_the_cursor(theme: str) -> None:
    app = Rows()
    async with app.run_test(size=(40, 11)) as pilot:
        app.theme = theme
        await pilot.pause()
        table = app.query_one(RowTable)

        def colours(y: int) -> set[tuple[int, int, int] | None]:
            found = (s.style.color for s in table.render_line(y) if s.style and s.text.strip())
            return {c.get_truecolor() if c else None for c in found}

        plain, error = ({*colours(y)} for y in (4, 2))
        wanted = Color.parse(app.theme_variables["text-error"]).rgb
        assert error - plain == {wanted}
        table.move_cursor(1)
        assert wanted not in colours(2)
