"""Options of commands that work through many files, and what they mean."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import typer

from glissando.cli.common import STANDARD
from glissando.cli.streams import write_output

if TYPE_CHECKING:
    from glissando.cli.planning import Job

__all__ = ["DryRun", "Jobs", "Json", "Many", "Name", "PerThread", "Preserve", "Recursive", "Sync"]

T = TypeVar("T")

Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Of a folder, take the folders in it as well; they are kept apart.")
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="TEMPLATE",
        help="What files in the folder OUT are called: {stem} and {ext} are the input's name and extension.",
    ),
]
Preserve = Annotated[bool, typer.Option("--preserve", "-p", help="Give outputs the times and permissions of inputs.")]
Sync = Annotated[
    bool, typer.Option("--sync", help="Go on when a file is on the disk, so that it outlasts a power cut; slower.")
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", "-j", min=1, metavar="N", help="Files to work on at once, which share the --threads."),
]
Json = Annotated[bool, typer.Option("--json", help="Print a line of JSON for each file, on standard output.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]


@dataclass(frozen=True, slots=True)
class Many:
    """The options of a run over files; see the command line's help."""

    overwrite: bool = True
    preserve: bool = False
    sync: bool = False
    jobs: int = 1
    as_json: bool = False
    dry_run: bool = False
    quiet: bool = False
    verbose: bool = False

    def threads(self, threads: int | None) -> int | None:
        """The cores for one job, of ``threads`` for all, or of all that the machine has."""
        return threads if self.jobs == 1 else max(1, (threads or os.cpu_count() or 1) // self.jobs)

    def write(self, job: Job, data: bytes | memoryview) -> None:
        """Write the output of a job. Raises OSError, whose file name is that of the output."""
        write_output(job.dest, data, sync=self.sync, like=self.like(job))

    def like(self, job: Job) -> os.stat_result | None:
        """Whose times and permissions a job's output gets; None for its own."""
        if not self.preserve or job.source == STANDARD:
            return None
        found = os.stat(job.source)
        return found if stat.S_ISREG(found.st_mode) else None


class PerThread(Generic[T]):
    """One object for each thread, made when the thread first asks for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._kept = make, threading.local()

    def get(self) -> T:
        """This thread's object."""
        if not hasattr(self._kept, "made"):
            self._kept.made = self._make()
        made: T = self._kept.made
        return made
