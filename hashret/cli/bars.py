"""Progress bars on standard error, one line per running stage; they are erased before anything else is printed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

from hashret.progress import Listener

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress, TaskID

DELAY = 0.3  # seconds before the bar of a stage is drawn


class Bars:
    """Bars with rate and remaining time for stages that take longer than `DELAY`.

    A command without such a stage writes nothing to the terminal, not even escape sequences.
    """

    def __init__(self) -> None:
        self._lock = RLock()  # threads may log while the main thread reports
        self._began: dict[str, float] = {}  # time of the first report of each running stage
        self._drawn: dict[str, TaskID] = {}  # bars of running stages
        self._progress: Progress | None = None
        self._live: Live | None = None

    def report(self, label: str, done: int, total: int | None, note: str = "") -> None:
        """Progress listener: `done` of `total` steps of stage `label` are finished. A stage ends at done == total."""
        with self._lock:
            now = time.monotonic()
            if now - self._began.setdefault(label, now) >= DELAY:
                self._draw(label, done, total, note)
            if total is not None and done >= total:
                self._began.pop(label)
                self._drawn.pop(label, None)  # the bar stays until another stage is drawn

    def _draw(self, label: str, done: int, total: int | None, note: str) -> None:
        progress = self._progress = self._progress or _progress()
        if label not in self._drawn:
            for task in progress.task_ids:
                if task not in self._drawn.values():
                    progress.remove_task(task)
            self._drawn[label] = progress.add_task(label, total=total, completed=done, rate="", note=note)
        task = self._drawn[label]
        speed = next(own.speed for own in progress.tasks if own.id == task)
        progress.update(task, completed=done, total=total, note=note, rate=f"{speed:,.0f}/s" if speed else "")
        if self._live is None:
            from rich.live import Live

            # by default, Rich redirects standard output to the terminal, even if it is a file
            self._live = Live(
                get_renderable=progress.get_renderable,
                console=progress.console,
                transient=True,
                refresh_per_second=10,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def erase(self) -> None:
        """Erase the bars; the next report draws them again."""
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None


def _progress() -> Progress:
    """Return Rich progress bars, which compute rates; `Bars` draws them with a separate display that can restart."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=max(10, min(40, console.width - 70))),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )


_shown: Bars | None = None


@contextmanager
def progress(show: bool) -> Iterator[Listener]:
    """Yield a listener that draws bars while the block runs, or does nothing if not `show`."""
    global _shown
    if not show:
        yield lambda label, done, total, note="": None
        return
    _shown = bars = Bars()
    try:
        yield bars.report
    finally:
        bars.erase()
        _shown = None


def make_way() -> None:
    """Erase the bars, if any, so that other output can be printed on the terminal."""
    if _shown is not None:
        _shown.erase()
