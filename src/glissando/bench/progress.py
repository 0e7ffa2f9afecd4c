"""How far a comparison is, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Bar", "Lines", "Progress", "open_progress"]


class Progress:
    """Progress that is shown to nobody, and the base of the classes that show it. Use as a context."""

    def stage(self, title: str, total: int) -> None:
        """Begin a stage, called ``title``, of ``total`` steps."""

    def advance(self) -> None:
        """Count one step of the stage as done."""

    def say(self, text: str) -> None:
        """Show one line of news."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Lines(Progress):
    """A line every ``seconds``, with an estimate of the time left."""

    def __init__(
        self,
        write: Callable[[str], None],
        seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._seconds, self._clock = write, seconds, clock
        self._title, self._total, self._done = "", 0, 0
        self._began = self._told = clock()

    def stage(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._began = self._told = self._clock()
        self._write(f"{title}: {total}")

    def advance(self) -> None:
        self._done += 1
        now = self._clock()
        if now - self._told >= self._seconds and self._done < self._total:
            self._told = now
            left = (now - self._began) / self._done * (self._total - self._done)
            self._write(f"{self._title}: {self._done} of {self._total}, about {_duration(left)} left")

    def say(self, text: str) -> None:
        self._write(text)


class Bar(Progress):
    """Count, bar and time left of the present stage."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar: RichProgress = RichProgress(*columns, console=Console(stderr=True), transient=True)
        self._task: TaskID | None = None

    def stage(self, title: str, total: int) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(title, total=total)

    def advance(self) -> None:
        if self._task is not None:
            self._bar.advance(self._task)

    def say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def open_progress(write: Callable[[str], None], *, quiet: bool = False) -> Progress:
    """The one that suits standard error; ``write`` prints a line on it."""
    if quiet:
        return Progress()
    return Bar() if sys.stderr.isatty() else Lines(write)


def _duration(seconds: float) -> str:
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"
