"""Who does what next: from a listing that is read as it goes, over workers that may die, to rows of the manifest."""

from __future__ import annotations

import os
import posixpath
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from glissando.errors import BatchError, InputError, explain

from .manifest import Manifest, Row
from .messages import Done, Drop, Look, Looked, Make, Reply, Reuse
from .naming import Naming
from .pools import Died, Pool
from .report import Event, Kind, Report, Tell
from .stores import Entry, Store

__all__ = ["ATTEMPTS", "MOST_IN_A_ROW", "Batch", "Options"]

ATTEMPTS = 2
"""How often a picture may kill its worker, or fail for a reason outside of it, before it is given up."""
MOST_IN_A_ROW = 20
"""Pictures in a row that may fail for reasons outside of them, as on a full disk; then the batch ends."""


@dataclass(frozen=True)
class Options:
    """What a batch is told besides its stores, its manifest and its workers.

    Attributes:
        suffixes: how names of inputs end, in lower case and with their dot.
        naming: of outputs.
        key: of the conversion; see ``Conversion``.
        retry: try pictures again that failed in earlier runs.
        verify: read inputs and outputs again that are known, instead of trusting their times and sizes.
    """

    suffixes: Collection[str]
    naming: Naming
    key: bytes
    retry: bool = False
    verify: bool = False


@dataclass(slots=True)
class _Task:
    """An input on its way, in the listing's order."""

    entry: Entry
    output: str
    known: Row | None
    deaths: int = 0
    failures: int = 0
    content: bytes | None = None
    bytes_in: int = 0


class Batch:
    """One run over all inputs of a store.

    In memory are the tasks of the workers, one for each, and those to be tried again, which are no more.
    """

    def __init__(
        self,
        source: Store,
        destination: Store,
        manifest: Manifest,
        pool: Pool,
        options: Options,
        tell: Tell = lambda event: None,
    ) -> None:
        self._source, self._destination, self._manifest = source, destination, manifest
        self._pool, self._options, self._tell = pool, options, tell
        self._report = Report()
        self._running: dict[int, _Task] = {}
        self._again: deque[_Task] = deque()
        self._outputs: dict[str, str] = {}  # of tasks that have begun, by what they make, the names of their inputs
        self._making: dict[bytes, int] = {}  # the slot that makes the output of a content
        self._waiting: dict[int, bytes] = {}  # slots that wait for another to make that of theirs
        self._in_a_row = 0

    def run(self, stop: threading.Event | None = None) -> Report:
        """Do all that is to be done; once ``stop`` is set, only what workers are at.

        Raises OSError where there is no source, BatchError where workers cannot be started, or where the reason why
        pictures fail is not in them.
        """
        stop = threading.Event() if stop is None else stop
        started, tasks = time.perf_counter(), self._tasks()
        free, listed = list(range(self._pool.size)), False
        while True:
            while free and not stop.is_set() and not (listed and not self._again):
                task = self._again.popleft() if self._again else next(tasks, _END)
                if task is _END:
                    listed = True
                elif isinstance(task, _Task):
                    self._begin(free.pop(), task)
                elif self._running:
                    break  # many inputs had nothing to be done; look what workers say meanwhile
            if stop.is_set():
                for slot in self._pool.recall():
                    del self._running[slot]
            if not self._running:
                if listed or stop.is_set():
                    break
                continue
            replies = list(self._pool.wait(block=listed or stop.is_set() or not free))
            for slot, reply in replies:
                if isinstance(reply, Died):  # one worker may have had several; none is told to make another's output
                    self._waiting.pop(slot, None)
            for slot, reply in replies:
                if self._hear(slot, reply):
                    free.append(slot)
        self._report.interrupted = stop.is_set() and not (listed and not self._outputs)
        self._report.seconds = time.perf_counter() - started
        return self._report

    # What is to be done --------------------------------------------------------------------------------

    def _tasks(self) -> Iterator[_Task | None]:
        """The inputs that workers have to see; None now and then while there are none."""
        for number, entry in enumerate(self._source.walk(self._is_input)):
            if isinstance(entry, OSError):
                path = entry.filename if isinstance(entry.filename, str) else self._source.where
                self._end(Event(path, "failed", error=explain(entry)))
                continue
            task = self._task(entry)
            if task is not None or number % 64 == 63:
                yield task

    def _is_input(self, name: str) -> bool:
        if os.path.splitext(name)[1].lower() in self._options.suffixes:
            return True
        self._report.passed_over += 1
        return False

    def _task(self, entry: Entry) -> _Task | None:
        """The task of an input; None where nothing is to be done for it."""
        options, folder = self._options, posixpath.dirname(entry.name)
        try:
            output = posixpath.join(folder, options.naming(posixpath.basename(entry.name)))
        except InputError as error:
            self._refuse(entry.name, str(error))
            return None
        if os.path.splitext(output)[1].lower() in options.suffixes:
            self._refuse(entry.name, f"--name makes {output} of it, which is named like a picture")
            return None
        known = self._manifest.named(entry.name)
        if known is not None and (known.key, known.output) != (options.key, output):
            known = None  # done, but otherwise
        if known is not None and known.error is not None and options.retry:
            known = None
        if known is not None and entry.stamp and known.stamp == entry.stamp:
            if known.error is not None:
                self._end(Event(entry.name, "failed before", error=known.error))
                return None
            if not options.verify and self._destination.has(output, known.bytes_out):
                self._end(Event(entry.name, "known", output, known.bytes_in, known.bytes_out))
                return None
        other = self._rival(entry.name, output)
        if other is not None:
            self._refuse(entry.name, f"{other} becomes {output} as well; --name tells them apart")
            return None
        return _Task(entry, output, known)

    def _rival(self, name: str, output: str) -> str | None:
        """Another input with the same output: one that is on its way, or was done and is still there."""
        if output in self._outputs:
            return self._outputs[output]
        owner = self._manifest.making(output)
        return owner.name if owner is not None and owner.name != name and self._source.exists(owner.name) else None

    def _refuse(self, name: str, error: str) -> None:
        self._end(Event(name, "failed", error=error))

    # What workers do -----------------------------------------------------------------------------------

    def _begin(self, slot: int, task: _Task) -> None:
        self._running[slot] = task
        self._outputs[task.output] = task.entry.name
        self._pool.send(slot, Look(task.entry.name, task.entry.size, alone=task.deaths > 0))

    def _hear(self, slot: int, reply: Reply | Died) -> bool:
        """Go on after what a worker said; whether its slot is free then."""
        task = self._running[slot]
        if isinstance(reply, Looked):
            task.content, task.bytes_in = reply.content, reply.size
            self._decide(slot)
            return False
        if isinstance(reply, Done):
            self._record(task, reply)
        elif isinstance(reply, Died):
            self._report.deaths += reply.first
            task.deaths += 1
            again = task.deaths < ATTEMPTS
            self._fail(task, f"its worker died, {task.deaths} times ({reply.how})", final=True, again=again)
        else:
            task.failures += 1
            again = not reply.final and task.failures < ATTEMPTS
            self._fail(task, reply.message, final=reply.final, again=again, before=reply.before)
        self._release(slot)
        return True

    def _decide(self, slot: int) -> None:
        """Tell a worker what to do with the content that it has read, unless another is making the same."""
        task, manifest, key = self._running[slot], self._manifest, self._options.key
        assert task.content is not None
        known = task.known
        if known is not None and known.content == task.content and known.check is not None:
            self._pool.send(slot, Reuse(task.entry.name, task.output, known.output, known.check))
            return
        failed = None if self._options.retry else manifest.like(task.content, key, failed=True)
        if failed is not None and failed.error is not None:
            self._pool.send(slot, Drop(task.entry.name, failed.error))
            return
        like = manifest.like(task.content, key, failed=False)
        if like is not None and like.check is not None:
            self._pool.send(slot, Reuse(task.entry.name, task.output, like.output, like.check))
        elif task.content in self._making:
            self._waiting[slot] = task.content
        else:
            self._making[task.content] = slot
            self._pool.send(slot, Make(task.entry.name, task.output))

    def _release(self, slot: int) -> None:
        """Forget the task of a slot, which has ended, and tell the workers what to do that waited for it."""
        task = self._running.pop(slot)
        self._waiting.pop(slot, None)  # its worker died over another picture
        if task.content is not None and self._making.get(task.content) == slot:
            del self._making[task.content]
            for other in [each for each, content in self._waiting.items() if content == task.content]:
                del self._waiting[other]
                self._decide(other)

    # What became of it ---------------------------------------------------------------------------------

    def _record(self, task: _Task, done: Done) -> None:
        self._in_a_row = 0
        del self._outputs[task.output]
        self._manifest.put(self._row(task, bytes_out=done.size, check=done.check, pixels=done.pixels))
        self._end(Event(task.entry.name, done.how, task.output, task.bytes_in, done.size, done=done))

    def _fail(self, task: _Task, message: str, *, final: bool, again: bool = False, before: bool = False) -> None:
        """Try a picture again, or say that it failed; ``final``: in later runs as well."""
        if again:
            self._report.retries += 1
            self._again.append(replace(task, content=None, bytes_in=0))
            return
        del self._outputs[task.output]
        if final:
            self._manifest.put(self._row(task, error=message))
        kind: Kind = "failed before" if before else "failed"
        self._end(Event(task.entry.name, kind, bytes_in=task.bytes_in, error=message))
        self._in_a_row = 0 if final else self._in_a_row + 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise BatchError(f"{MOST_IN_A_ROW} pictures in a row failed for a reason outside of them: {message}")

    def _row(
        self, task: _Task, *, bytes_out: int = 0, check: bytes | None = None, pixels: int = 0, error: str | None = None
    ) -> Row:
        entry, key = task.entry, self._options.key
        stamp, output = entry.stamp, task.output
        return Row(entry.name, stamp, key, task.content, task.bytes_in, output, bytes_out, check, pixels, error)

    def _end(self, event: Event) -> None:
        self._report.add(event)
        self._tell(event)


_END = object()
"""What stands for the end of the listing."""
