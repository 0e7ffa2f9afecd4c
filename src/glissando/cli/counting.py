"""A progress bar over pictures that are listed as they are worked on, and counted beside that."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["counted"]


@contextlib.contextmanager
def counted(source: str, *, show: bool) -> Iterator[Callable[[], None]]:
    """A bar on a terminal with what is done, and the time that is left once all pictures are counted.

    ``source``: the folder or URL, which a thread lists for the sake of their number alone. The function that the block
    gets is called for each picture that is done.
    """
    if not show or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    over = threading.Event()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, rate="")
        counting = threading.Thread(target=_count, args=(source, bar, task, over), daemon=True)
        counting.start()

        def advance() -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=1, rate=f"{speed:,.1f}/s" if speed else "")

        try:
            yield advance
        finally:
            over.set()
            counting.join()


def _count(source: str, bar: Progress, task: TaskID, over: threading.Event) -> None:
    """Tell the bar how many pictures there are; nothing where they cannot be listed, which the batch will tell."""
    from glissando.batches.opening import open_store
    from glissando.picture import picture_suffixes

    suffixes, number = picture_suffixes(), 0
    with contextlib.suppress(Exception):
        for _ in open_store(source).walk(lambda name: os.path.splitext(name)[1].lower() in suffixes):
            number += 1
            if over.is_set():
                return
        bar.update(task, total=number)
