"""A table on a screen: its columns fit the window, and its rows stay literal."""

from textual.app import App, ComposeResult
from textual.widgets import Static

from cifar_tui.table import Column, Table, cut_middle, figures
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
