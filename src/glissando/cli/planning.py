"""Which input becomes which output: found before anything is read or written."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from glissando.batches.naming import Naming
from glissando.cli.common import STANDARD, refuse_terminal
from glissando.errors import InputError

__all__ = ["Job", "Plan", "plan"]


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its output; either may be ``-``.

    ``refused``: why it cannot be done; the output is then empty where there is none.
    """

    source: str
    dest: str
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs.

    ``makes_folders``: whether the folders of the outputs are made where they are missing. ``stop``: set when the jobs
    that are running should come to their end.
    """

    jobs: tuple[Job, ...]
    makes_folders: bool
    stop: threading.Event = field(default_factory=threading.Event)


def plan(
    sources: Sequence[str],
    out: str,
    suffix: str,
    *,
    suffixes: Collection[str],
    recursive: bool = False,
    name: str | None = None,
) -> Plan:
    """Pair inputs with outputs, as ``cp`` does: ``out`` is the file, or the folder for several inputs.

    Args:
        sources: the inputs; of a folder, the files in it that end as inputs do.
        out: the output; a folder when it is one, ends with ``/``, or there are several inputs or a folder.
        suffix: of the outputs in a folder, with its dot.
        suffixes: how names of inputs end, in lower case and with their dot. An output file cannot end so: more likely
            OUT was forgotten.
        recursive: take the folders in folders as well; they become folders in ``out``.
        name: what outputs in a folder are called, as the template of a ``Naming``.

    Returns:
        The plan. A folder without inputs is refused, and so is each of the inputs that would become the same output.

    Raises:
        typer.BadParameter: an input that is its own output, a name that is none, or a picture for a terminal. Nothing
            has been touched then.
        OSError: a folder that cannot be read.
    """
    if sources.count(STANDARD) > 1:
        raise typer.BadParameter("standard input can be read only once", param_hint="IN")
    whole_folders = any(source != STANDARD and os.path.isdir(source) for source in sources)
    given: list[tuple[str, str]] = []
    empty: list[Job] = []
    for source in sources:
        files = list(_files(source, suffixes, recursive=recursive))
        given += files
        if not files:
            where = "" if recursive else "; --recursive looks into the folders in it as well"
            empty.append(Job(source, "", f"there is no input in this folder{where}"))
    if not _is_folder(out, len(given), suffixes, whole_folders=whole_folders):
        if name is not None:
            raise typer.BadParameter("it names files in a folder; OUT is a file", param_hint="--name")
        if out == STANDARD:
            refuse_terminal()
        return _not_over_inputs(Plan((Job(given[0][0], out),), makes_folders=False))
    if STANDARD in sources:
        raise typer.BadParameter(
            "standard input has no name to take over into a folder; name the output file", param_hint="OUT"
        )
    naming = _naming(suffix, name)
    jobs = _distinct([_named(source, os.path.join(out, below), naming) for source, below in given], suffix)
    return _not_over_inputs(Plan((*empty, *jobs), makes_folders=True))


def _files(source: str, suffixes: Collection[str], *, recursive: bool) -> Iterator[tuple[str, str]]:
    """Each file that an input stands for, and the folder below the output's that it belongs into."""
    if source == STANDARD or not os.path.isdir(source):
        yield source, ""
        return
    for folder, below, names in os.walk(source, onerror=_raise):
        below[:] = sorted(below) if recursive else []
        for name in sorted(names):
            if Path(name).suffix.lower() in suffixes:
                yield os.path.join(folder, name), os.path.relpath(folder, source) if folder != source else ""


def _raise(error: OSError) -> None:
    raise error


def _is_folder(out: str, inputs: int, suffixes: Collection[str], *, whole_folders: bool) -> bool:
    if out != STANDARD and (os.path.isdir(out) or out.endswith(("/", os.sep))):
        return True
    if out != STANDARD and Path(out).suffix.lower() in suffixes:
        raise typer.BadParameter(f"{out} is named like an input; was the output forgotten?", param_hint="OUT")
    if inputs == 1 and not whole_folders:
        return False
    if out == STANDARD or os.path.exists(out) or Path(out).suffix:
        what = "a folder needs" if whole_folders else f"{inputs} inputs need"
        raise typer.BadParameter(f"{what} a folder as their output, not {out}", param_hint="OUT")
    return True


def _naming(suffix: str, template: str | None) -> Naming:
    if template is None:
        return Naming.with_suffix(suffix)
    try:
        return Naming(template)
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="--name") from None


def _named(source: str, folder: str, naming: Naming) -> Job:
    try:
        return Job(source, os.path.join(folder, naming(os.path.basename(source))))
    except InputError as error:
        return Job(source, folder, str(error))


def _distinct(jobs: list[Job], suffix: str) -> list[Job]:
    """The jobs, of which those with the same output are refused."""
    keys = [os.path.normcase(os.path.abspath(job.dest)) for job in jobs]
    together: dict[str, list[Job]] = {}
    for key, job in zip(keys, jobs, strict=True):
        together.setdefault(key, []).append(job)
    found = []
    for key, job in zip(keys, jobs, strict=True):
        same = together[key]
        if len(same) > 1 and job.refused is None:
            other = next((each for each in same if each is not job), job)
            kinds = {Path(each.source).suffix for each in same}
            help = f"; --name '{{stem}}-{{ext}}{suffix}' tells them apart" if len(kinds) == len(same) else ""
            job = replace(job, refused=f"{other.source} would become {job.dest} as well{help}")
        found.append(job)
    return found


def _not_over_inputs(found: Plan) -> Plan:
    """The plan; raises typer.BadParameter where an output is the file of an input, under whatever name."""
    inputs = {identity for job in found.jobs if (identity := _identity(job.source)) is not None}
    for job in found.jobs:
        if _identity(job.dest) in inputs:
            raise typer.BadParameter(f"{job.dest} is an input as well as an output", param_hint="OUT")
    return found


def _identity(path: str) -> tuple[int, int] | None:
    """What tells a regular file from all others, whatever its name; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        if path != STANDARD and stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    return None
