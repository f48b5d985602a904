"""The screens of `gc-otel top`.  Files are read in a thread of their own: a slow /proc does not make the keys slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Footer, Input, Static
from textual.worker import get_current_worker

from gc_otel.cli.output import printable
from gc_otel.cli.ps import HOW_TO_START
from gc_otel.cli.terminal import detail
from gc_otel.cli.terminal.columns import BY_NAME, COLUMNS, Column, cell, fitting, ordered
from gc_otel.service.watching import View, Watching, matching

#: Orange and blue are told apart by all eyes, and a sign stands beside each mark.
_HIGH_STYLE: Final = "bold orange1"
_BUSY_STYLE: Final = "bold sky_blue1"
_GONE_STYLE: Final = "dim"


def _keys_of_columns() -> list[BindingType]:
    return [
        Binding(column.key, f"sort('{column.name}')", column.heading, show=False) for column in COLUMNS if column.key
    ]


class Table(DataTable[Text]):
    """A table that says what Enter does."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "one process")]


class Help(ModalScreen[None]):
    """All keys, and what the columns mean."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", "close")]
    DEFAULT_CSS = """
    Help { align: center middle; }
    Help VerticalScroll { width: 92; max-width: 96%; height: auto; max-height: 90%; border: round $foreground; padding: 0 1; background: $surface; }
    """

    def compose(self) -> ComposeResult:
        """One text."""
        lines = [
            "Enter  one process      /  filter      Esc  no filter, back      Space  hold still      q  end",
            "",
            "A key sorts by its column, a second time the other way round:",
            *(f"  {column.key or ' '}  {column.heading:<14}  {column.help}" for column in COLUMNS),
            "",
            "! marks more than 10 % of the time in GC, or 90 % of the memory limit. ~ is an estimate. Values are of the last minute.",
        ]
        with VerticalScroll():
            yield Static("\n".join(lines), markup=False)


class Detail(Screen[None]):
    """One process; it goes on showing the last numbers of one that has ended."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,backspace", "app.pop_screen", "back"),
        Binding("question_mark", "app.help", "help"),
        Binding("q", "app.quit", "end"),
    ]
    DEFAULT_CSS = """
    Detail .title { background: $primary; color: $text; text-style: bold; padding: 0 1; }
    Detail VerticalScroll { padding: 0 1; }
    Detail .part { margin-top: 1; height: auto; }
    """

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view

    def compose(self) -> ComposeResult:
        """A title, and four parts of text."""
        yield Static(classes="title", id="who", markup=False)
        with VerticalScroll():
            for name in ("summary", "pauses", "memory", "latest"):
                yield Static(classes="part", id=name, markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """First drawing."""
        self.show(self.view)

    def on_resize(self) -> None:
        """As wide as the terminal is now."""
        self.show(self.view)

    def show(self, view: View) -> None:
        """Draw a reading."""
        self.view = view
        columns = max(30, min(120, self.app.size.width - 4))
        parts = {
            "who": [detail.title(view)],
            "summary": detail.summary(view),
            "pauses": detail.pauses(view, columns),
            "memory": detail.memory(view, columns),
            "latest": detail.latest(view),
        }
        for name, lines in parts.items():
            heading, *rest = [printable(line) for line in lines]
            text = Text.assemble((heading, "bold" if name != "summary" else ""), *(f"\n{line}" for line in rest))
            self.query_one(f"#{name}", Static).update(text)


class Top(App[None]):
    """``watch`` gives what is watched, or None while there is no folder."""

    TITLE = "gc-otel top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter"),
        Binding("question_mark", "help", "help"),
        Binding("space", "hold", "hold"),
        Binding("escape", "unfilter", "no filter", show=False),
        Binding("q", "quit", "end"),
        *_keys_of_columns(),
    ]
    DEFAULT_CSS = """
    #status { background: $primary; color: $text; padding: 0 1; height: 1; }
    #words { display: none; height: 3; }
    #words.open { display: block; }
    #nobody { display: none; padding: 1 2; }
    #nobody.open { display: block; }
    DataTable { height: 1fr; }
    DataTable.empty { display: none; }
    """

    def __init__(
        self, watch: Callable[[], Watching | None], *, sort: str = "p99", words: str = "", interval_s: float = 2.0
    ) -> None:
        super().__init__()
        self._watch = watch
        self._watching: Watching | None = None
        self._interval_s = interval_s
        self._sort, self._is_reversed = sort, False
        self._words = words
        self._is_held = False
        self._views: list[View] = []
        self._shown: list[View] = []
        self._columns: tuple[Column, ...] = ()

    def compose(self) -> ComposeResult:
        """A line of status, the table, and what to do where there is nobody."""
        yield Static(id="status", markup=False)
        yield Input(self._words, placeholder="words in pid, service, program or state", id="words")
        yield Table(cursor_type="row")
        yield Static(id="nobody", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Read from now on."""
        self.query_one(Table).focus()
        self._read()
        self.set_interval(self._interval_s, self._read)

    @work(thread=True, exclusive=False, group="reading")
    def _read(self) -> None:
        if self._is_held or len([each for each in self.workers if each.group == "reading" and each.is_running]) > 1:
            return  # one that takes longer than the interval is not joined by the next
        if self._watching is None:
            self._watching = self._watch()
        views = [] if self._watching is None else self._watching.read()
        if not get_current_worker().is_cancelled:
            self.call_from_thread(self.show, views)

    def show(self, views: list[View]) -> None:
        """Draw a reading."""
        self._views = views
        self._draw()
        for screen in self.screen_stack:
            if isinstance(screen, Detail):
                label = screen.view.label
                screen.show(
                    next(
                        (view for view in views if view.label == label and not view.is_gone), _gone(screen.view, views)
                    )
                )

    def _draw(self) -> None:
        self._shown = ordered(matching(self._views, self._words), self._sort, reverse=self._is_reversed)
        table = self.query_one(Table)
        kept, row = self._selected(), table.cursor_row
        columns = fitting(self.size.width - 2, self._shown)
        self._columns = columns
        table.clear(columns=True)
        for column in columns:
            table.add_column(self._heading(column), key=column.name)
        for view in self._shown:
            table.add_row(*(_cell(column, view) for column in columns), key=_key(view))
        keys = [_key(view) for view in self._shown]
        table.move_cursor(row=keys.index(kept) if kept in keys else min(row, max(0, len(keys) - 1)))
        table.set_class(not self._shown, "empty")
        nobody = self.query_one("#nobody", Static)
        nobody.update(self._nobody())
        nobody.set_class(not self._shown, "open")
        self.query_one("#status", Static).update(self._status())

    def _heading(self, column: Column) -> Text:
        falls = column.falls != self._is_reversed
        arrow = ("▼" if falls else "▲") if column.name == self._sort else ""
        return Text(f"{column.heading}{arrow}", justify="right" if column.right else "left")

    def _nobody(self) -> str:
        if self._views and self._words:
            return f"None of {len(self._views)} processes has all of {printable(self._words)!r}.  Esc shows all."
        return HOW_TO_START.format(where="") + "\n\nIt appears here by itself."

    def _status(self) -> str:
        living = sum(not view.is_gone for view in self._views)
        of = f"{len(self._shown)} of " if self._words else ""
        filtered = f"  filter: {printable(self._words)}" if self._words else ""
        held = "  HELD STILL, Space goes on" if self._is_held else ""
        unreadable = self._watching.unreadable if self._watching is not None else 0
        skipped = f"  {unreadable} files unreadable: gc-otel doctor" if unreadable else ""
        return f"{of}{living} recorded, sorted by {BY_NAME[self._sort].heading}{filtered}{skipped}{held}"

    def _selected(self) -> str | None:
        row = self.query_one(Table).cursor_row
        keys = list(self.query_one(Table).rows)
        return keys[row].value if 0 <= row < len(keys) else None

    def on_resize(self) -> None:
        """Other columns fit."""
        if self._views or self._columns:
            self._draw()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter, or a click."""
        view = next((each for each in self._shown if _key(each) == event.row_key.value), None)
        if view is not None:
            self.push_screen(Detail(view))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - textual's signature
        """What is about the table is not to be done beside another screen."""
        return len(self.screen_stack) == 1 or action not in ("sort", "filter", "unfilter", "hold")

    def action_sort(self, name: str) -> None:
        """By that column, or the other way round."""
        self._sort, self._is_reversed = name, not self._is_reversed if name == self._sort else False
        self._draw()

    def action_filter(self) -> None:
        """Ask for words."""
        words = self.query_one("#words", Input)
        words.set_class(True, "open")
        words.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Each letter counts."""
        self._words = event.value
        self._draw()

    def on_input_submitted(self) -> None:
        """Back to the table."""
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#words", Input).set_class(False, "open")
        self.query_one(Table).focus()

    def action_unfilter(self) -> None:
        """All again."""
        self.query_one("#words", Input).value = ""
        self._close_filter()

    def action_help(self) -> None:
        """The keys."""
        self.push_screen(Help())

    def action_hold(self) -> None:
        """Hold still, or go on."""
        self._is_held = not self._is_held
        self.query_one("#status", Static).update(self._status())

    def on_unmount(self) -> None:
        """Let go of all files."""
        self.workers.cancel_all()
        if self._watching is not None:
            self._watching.close()


def _key(view: View) -> str:
    return view.snapshot.identity.instance_id or str(view.process.path)


def _gone(view: View, views: list[View]) -> View:
    """The last that is known of a process that is shown alone."""
    return next((each for each in views if _key(each) == _key(view)), view)


def _cell(column: Column, view: View) -> Text:
    style = ""
    if view.is_gone:
        style = _GONE_STYLE
    elif column.is_high(view):
        style = _HIGH_STYLE
    elif column.name == "state" and view.process.state == "collecting":
        style = _BUSY_STYLE
    return Text(printable(cell(column, view)), style=style, justify="right" if column.right else "left")
