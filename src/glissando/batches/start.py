"""A batch from its beginning to its report: stores, manifest and workers opened, and closed whatever happens."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import platformdirs

from glissando.errors import BatchError, InputError, explain
from glissando.machine import default_threads
from glissando.picture import picture_suffixes

from .driver import Batch, Options
from .folder import Folder
from .manifest import Manifest
from .naming import Naming
from .opening import open_store
from .pools import Pool
from .remote import Remote
from .report import Event, Report, Tell
from .stores import Store
from .worker import Conversion, Work

__all__ = ["MANIFEST", "Workers", "manifest_path", "run_batch"]

MANIFEST = ".glissando-batch.sqlite"
"""Name of the manifest in the folder of the outputs, and of its copy at a URL."""
COPIED_EVERY = 300.0
"""Seconds between two copies of the manifest to a URL."""


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    Attributes:
        engine: "local", processes of this machine; "ray", actors of a Ray cluster.
        number: of workers; None for as many as there are cores.
        address: of the Ray cluster; see ``Actors``.
    """

    engine: Literal["local", "ray"] = "local"
    number: int | None = None
    address: str | None = None

    def open(self, work: Work) -> Pool:
        """Their pool. Raises InputError, BatchError."""
        if self.engine == "ray":
            from .actors import Actors

            return Actors(work, self.number, address=self.address)
        from .processes import Processes

        return Processes(work, self.number or default_threads())


def run_batch(
    source: str,
    destination: str,
    conversion: Conversion,
    *,
    workers: Workers | None = None,
    naming: Naming | None = None,
    manifest: str | None = None,
    retry: bool = False,
    verify: bool = False,
    sync: bool = False,
    stop: threading.Event | None = None,
    tell: Tell = lambda event: None,
) -> Report:
    """Convert every picture in a folder or below a URL, and in the folders there, that is not converted yet.

    Args:
        source: the folder or URL; pictures are the files whose names end as those of pictures do.
        destination: the folder or URL for the outputs, in the same folders.
        conversion: how, such as an ``Encoding``.
        workers: who; processes of this machine, one for each core, unless given.
        naming: of outputs; the input's name with ``.gliss`` in place of its extension unless given.
        manifest: file of this machine for what has been done; ``manifest_path`` unless given.
        retry: try pictures again that failed in earlier runs.
        verify: read inputs and outputs again that are known, instead of trusting their times and sizes.
        sync: wait until each output would outlast a power cut.
        stop: once it is set, no other picture is begun.
        tell: is called with what becomes of each picture, from this thread.

    Returns:
        What became of all. A picture that fails is in the report, and stops no other.

    Raises:
        InputError: a store or an engine that cannot be opened, or outputs named as pictures are.
        BatchError: another batch with this manifest, workers that cannot begin, or 20 pictures in a row that failed for
            a reason outside of them.
        OSError: there is no source, or the destination cannot be written.
    """
    naming = naming or Naming.with_suffix(".gliss")
    if any(os.path.splitext(naming(name))[1].lower() in picture_suffixes() for name in ("a.b", "a.png", "a.png.b")):
        raise InputError(f"{naming.template!r}: outputs named like pictures could be taken for inputs")
    inputs, outputs = open_store(source), open_store(destination)
    options = Options(picture_suffixes(), naming, conversion.key, retry=retry, verify=verify)
    work = Work(inputs.where, outputs.where, conversion, sync)
    with contextlib.closing(Manifest(manifest or manifest_path(outputs))) as opened:
        copies = _Copies(opened, outputs) if isinstance(outputs, Remote) else None
        with _closing((workers or Workers()).open(work)) as pool:

            def hear(event: Event) -> None:
                tell(event)
                if copies is not None:
                    copies.now_and_then()

            try:
                report = Batch(inputs, outputs, opened, pool, options, hear).run(stop)
            except BaseException:
                if copies is not None:
                    copies.save()
                raise
        problem = None if copies is None else copies.save()
        if problem is not None:
            event = Event(MANIFEST, "failed", error=f"it could not be copied to {outputs.where}: {problem}")
            report.add(event)
            tell(event)
        return report


def manifest_path(destination: Store) -> str:
    """Where the manifest of a destination lies unless it is named: in a folder itself, for a URL in the user's data."""
    if isinstance(destination, Folder):
        return destination.path(MANIFEST)
    name = hashlib.sha256(destination.where.rstrip("/").encode()).hexdigest()[:16]
    return str(platformdirs.user_data_path("glissando") / "batches" / f"{name}.sqlite")


@contextlib.contextmanager
def _closing(pool: Pool) -> Iterator[Pool]:
    """Workers that are killed where the block ends with an exception."""
    try:
        yield pool
    except BaseException:
        pool.close(kill=True)
        raise
    pool.close()


@dataclass
class _Copies:
    """Copies of the manifest beside the outputs at a URL, for a driver on another machine."""

    manifest: Manifest
    outputs: Remote
    clock: Callable[[], float] = time.monotonic
    last: float = field(init=False)

    def __post_init__(self) -> None:
        """Take over what the copy that is there tells, if there is one."""
        if self.outputs.exists(MANIFEST):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "copy.sqlite")
                self.outputs.download(MANIFEST, path)
                self.manifest.take_from(path)
        self.last = self.clock()

    def now_and_then(self) -> None:
        """Copy it if the last copy is old."""
        if self.clock() - self.last >= COPIED_EVERY:
            self.save()

    def save(self) -> str | None:
        """Copy it; why that was not possible, which is no reason to end the batch."""
        self.last = self.clock()
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "copy.sqlite")
                self.manifest.copy_to(path)
                self.outputs.upload(path, MANIFEST)
        except (OSError, BatchError) as error:
            return explain(error)
        return None
