"""The loop over all inputs of a command, whatever becomes of single ones."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import typer

from glissando.cli.common import STANDARD, explain, say, show_error
from glissando.cli.many import Many
from glissando.cli.planning import Job, Plan
from glissando.cli.streams import tell
from glissando.errors import InputError

__all__ = ["Done", "run", "show_name"]


@dataclass(frozen=True, slots=True)
class Done:
    """What one job did, for the summary."""

    line: str
    bytes_in: int
    bytes_out: int
    pixels: int


def show_name(path: str, *, output: bool = False) -> str:
    """A path as messages name it."""
    if path != STANDARD:
        return path
    return "standard output" if output else "standard input"


def run(todo: Plan, work: Callable[[Job], Done], options: Many) -> int:
    """Do every job, whatever becomes of the others; returns the exit code.

    A failure is a line on standard error. One job prints its line; several print a progress bar (on a
    terminal) and a summary, and with ``verbose`` their lines as well. What killed runs left where outputs go is
    removed.
    """
    if options.as_json and any(job.dest == STANDARD for job in todo.jobs):
        raise typer.BadParameter("standard output is for the picture; name a file", param_hint="--json")
    if options.dry_run:
        return _foretell(todo, options)
    _clear(todo)

    def attempt(job: Job) -> Done | Exception:
        try:
            if (refusal := _refusal(job, options)) is not None:
                return refusal
            if todo.makes_folders:
                os.makedirs(os.path.dirname(job.dest), exist_ok=True)
            return work(job)
        except (typer.BadParameter, typer.Exit, BrokenPipeError):
            raise
        except Exception as error:
            return error

    several = len(todo.jobs) > 1
    finished: list[Done] = []
    failed = 0
    with _progress(len(todo.jobs), show=several and not options.quiet) as advance:
        for job, done in _outcomes(todo, attempt, options.jobs):
            if isinstance(done, Done):
                finished.append(done)
                if not options.quiet and not options.as_json and (options.verbose or not several):
                    say(done.line)
            else:
                failed += 1
                _show_failure(job, done)
            if options.as_json:
                tell(json.dumps(_entry(job, done)))
            advance()
    if several and not options.quiet:
        say(_summary(finished, failed))
    return 1 if failed else 0


def _outcomes(
    todo: Plan, attempt: Callable[[Job], Done | Exception], number: int
) -> Iterator[tuple[Job, Done | Exception]]:
    """Each job with what became of it, in their order; ``number`` of them are worked on at once."""
    if number == 1 or len(todo.jobs) == 1:
        for job in todo.jobs:
            yield job, attempt(job)
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(number)
    try:
        for job, future in [(job, pool.submit(attempt, job)) for job in todo.jobs]:
            yield job, future.result()
    finally:
        todo.stop.set()  # after an error or Ctrl-C: what is running comes to its end, the rest is not begun
        pool.shutdown(cancel_futures=True)


def _refusal(job: Job, options: Many) -> Exception | None:
    """Why a job is not even begun."""
    if job.refused is not None:
        return InputError(job.refused)
    if not options.overwrite and _exists(job.dest):
        return FileExistsError(17, "exists already; nothing was written", job.dest)
    return None


def _exists(dest: str) -> bool:
    """Whether an output would replace something, which standard output, a pipe or a device does not."""
    try:
        return dest != STANDARD and stat.S_ISREG(os.stat(dest).st_mode)
    except OSError:
        return os.path.lexists(dest)


def _clear(todo: Plan) -> None:
    """Remove what killed runs left in the folders that outputs go to."""
    from glissando.files import clear_litter

    for folder in dict.fromkeys(os.path.dirname(job.dest) for job in todo.jobs if job.dest not in ("", STANDARD)):
        clear_litter(folder or ".")


def _foretell(todo: Plan, options: Many) -> int:
    """Say what the jobs would do; 1 where some would fail for sure."""
    failed = 0
    for job in todo.jobs:
        refusal = _refusal(job, options)
        if refusal is None and job.source != STANDARD and not os.path.exists(job.source):
            refusal = FileNotFoundError(2, os.strerror(2), job.source)
        failed += refusal is not None
        if options.as_json:
            tell(json.dumps(_entry(job, refusal)))
        elif refusal is None:
            tell(f"{show_name(job.source)} -> {show_name(job.dest, output=True)}")
        if refusal is not None:
            _show_failure(job, refusal)
    return 1 if failed else 0


def _entry(job: Job, done: Done | Exception | None) -> dict[str, object]:
    """What a line of JSON says of a job."""
    entry: dict[str, object] = {"input": job.source, "output": job.dest or None, "error": None}
    if isinstance(done, Done):
        entry |= {"input_bytes": done.bytes_in, "output_bytes": done.bytes_out, "pixels": done.pixels}
    elif done is not None:
        entry["error"] = explain(done)
    return entry


def _show_failure(job: Job, error: Exception) -> None:
    dest = show_name(job.dest, output=True)
    about_output = str(error).startswith(f"{dest}: ")
    show_error(error, dest if about_output else show_name(job.source))


def _summary(finished: Sequence[Done], failed: int) -> str:
    before, after = sum(d.bytes_in for d in finished), sum(d.bytes_out for d in finished)
    text = f"{len(finished)} {'file' if len(finished) == 1 else 'files'}: {before:,} bytes -> {after:,} bytes"
    return text + (f"; {failed} failed" if failed else "")


@contextlib.contextmanager
def _progress(total: int, *, show: bool) -> Iterator[Callable[[], None]]:
    if not show or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
