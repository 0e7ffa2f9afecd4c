"""What is shown while one picture takes long, and Ctrl-C that ends the waiting rather than the work."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["Patience", "bar", "patience"]


class Patience:
    """A progress (``glissando.codec.refinement.Progress``) that a first Ctrl-C ends.

    Attributes:
        interrupted: whether it did; a second Ctrl-C stops the program as usual.
    """

    def __init__(self, show: Callable[[float], None] | None, stop: threading.Event) -> None:
        self._show, self._stop = show, stop

    @property
    def interrupted(self) -> bool:
        return self._stop.is_set()

    def __call__(self, share: float) -> bool:
        if self._show is not None:
            self._show(share)
        return not self.interrupted


@contextlib.contextmanager
def patience(stop: threading.Event, *, show: bool) -> Iterator[Patience]:
    """Until the block ends, Ctrl-C, or whoever else sets ``stop``, ends the progress.

    ``show``: draw a bar and the time that is left, on a terminal.
    """
    with contextlib.ExitStack() as stack:
        progress = Patience(stack.enter_context(bar("refining")) if show else None, stop)
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)

            def interrupt(number: int, frame: FrameType | None) -> None:
                stop.set()
                signal.signal(signal.SIGINT, before)

            signal.signal(signal.SIGINT, interrupt)
            stack.callback(signal.signal, signal.SIGINT, before)
        yield progress


@contextlib.contextmanager
def bar(text: str) -> Iterator[Callable[[float], None] | None]:
    """A bar with the time that is left, drawn on a terminal until the block ends: what it is told; None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(text), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share: bar.update(task, completed=share)
