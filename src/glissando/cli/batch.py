"""Which input becomes which output, and the loop over them."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from glissando.cli.common import STANDARD, refuse_terminal, say, show_error

__all__ = ["Done", "Job", "Plan", "plan", "run", "show_name"]


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its output; either may be ``-``."""

    source: str
    dest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs, and the folder that their outputs need, if they go into one."""

    jobs: tuple[Job, ...]
    folder: str | None


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


def plan(sources: Sequence[str], out: str, suffix: str, *, wrong_suffixes: Collection[str]) -> Plan:
    """Pair inputs with outputs, as ``cp`` does: ``out`` is the file, or the folder for several inputs.

    Args:
        sources: the inputs.
        out: the output; a folder when it is one, ends with ``/``, or there are several inputs.
        suffix: of the outputs in a folder, with its dot.
        wrong_suffixes: endings that an output file cannot have: more likely OUT was forgotten.

    Raises:
        typer.BadParameter: two inputs for one output, an input that is its own output, or a picture for a
            terminal. Nothing has been touched then.
    """
    if sources.count(STANDARD) > 1:
        raise typer.BadParameter("standard input can be read only once", param_hint="IN")
    folder = _is_folder(out, len(sources), wrong_suffixes)
    if not folder:
        jobs: tuple[Job, ...] = (Job(sources[0], out),)
        if out == STANDARD:
            refuse_terminal()
    else:
        if STANDARD in sources:
            raise typer.BadParameter(
                "standard input has no name to take over into a folder; name the output file",
                param_hint="OUT",
            )
        jobs = tuple(Job(source, os.path.join(out, Path(source).stem + suffix)) for source in sources)
    _refuse_collisions(jobs)
    return Plan(jobs, out if folder else None)


def _is_folder(out: str, inputs: int, wrong_suffixes: Collection[str]) -> bool:
    if out != STANDARD and (os.path.isdir(out) or out.endswith(("/", os.sep))):
        return True
    if out != STANDARD and Path(out).suffix.lower() in wrong_suffixes:
        raise typer.BadParameter(f"{out} is named like an input; was the output forgotten?", param_hint="OUT")
    if inputs == 1:
        return False
    if out == STANDARD or os.path.exists(out) or Path(out).suffix:
        raise typer.BadParameter(f"{inputs} inputs need a folder as their output, not {out}", param_hint="OUT")
    return True


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    taken: dict[str, str] = {}
    for job in jobs:
        if job.dest == STANDARD:
            continue
        key = os.path.normcase(os.path.abspath(job.dest))
        if key in taken:
            raise typer.BadParameter(f"{taken[key]} and {job.source} would both become {job.dest}", param_hint="IN")
        taken[key] = job.source
    for job in jobs:
        with contextlib.suppress(OSError):
            if any(os.path.samefile(job.dest, other.source) for other in jobs if other.source != STANDARD):
                raise typer.BadParameter(f"{job.dest} is an input as well as an output", param_hint="OUT")


def run(todo: Plan, work: Callable[[Job], Done], *, overwrite: bool, quiet: bool, verbose: bool) -> int:
    """Do every job, whatever becomes of the others; returns the exit code.

    A failure is a line on standard error. One job prints its line; several print a progress bar (on a
    terminal) and a summary, and with ``verbose`` their lines as well.
    """
    if todo.folder is not None:
        os.makedirs(todo.folder, exist_ok=True)
    jobs = todo.jobs
    several = len(jobs) > 1
    finished: list[Done] = []
    failed = 0
    with _progress(len(jobs), show=several and not quiet) as advance:
        for job in jobs:
            try:
                if not overwrite and _exists(job.dest):
                    raise FileExistsError(17, "exists already; nothing was written", job.dest)
                done = work(job)
            except (typer.BadParameter, typer.Exit, BrokenPipeError):
                raise
            except Exception as error:
                failed += 1
                _show_failure(job, error)
            else:
                finished.append(done)
                if not quiet and (verbose or not several):
                    say(done.line)
            advance()
    if several and not quiet:
        say(_summary(finished, failed))
    return 1 if failed else 0


def _exists(dest: str) -> bool:
    """Whether an output would replace something, which standard output, a pipe or a device does not."""
    try:
        return dest != STANDARD and stat.S_ISREG(os.stat(dest).st_mode)
    except OSError:
        return os.path.lexists(dest)


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
