"""Worker processes, and the bounded queue of requests that wait for one."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from glissando.errors import OverloadedError, TimeLimitError, WorkerError

from .jobs import Answer, Job
from .settings import Settings
from .worker import Worker

__all__ = ["Pool"]

START_SECONDS = 120.0
"""How long a new process may take until it is ready for its first job; that time is none of the job's."""


class Pool:
    """As many workers as the settings say; ``do`` has a job done by the next that is free. A context of one event loop.

    Jobs wait in the order in which they came. A worker that dies, or takes too long, costs its job alone, and another
    takes its place.

    ``warm``: what each worker does first, before any request. ``died``: called with "crash" or "timeout" for each
    worker that was lost.
    """

    def __init__(
        self, settings: Settings, warm: Job | None = None, died: Callable[[str], None] = lambda reason: None
    ) -> None:
        self._settings, self._warm, self._died = settings, warm, died
        self._idle: list[Worker] = []
        self._running: dict[asyncio.Task[Answer], Worker] = {}
        self._places = asyncio.Semaphore(settings.workers)
        self._usual = 1.0  # seconds that a job took lately
        self.waiting = 0

    @property
    def running(self) -> int:
        """Jobs that workers are at."""
        return len(self._running)

    @property
    def workers(self) -> list[Worker]:
        """All workers, those that are busy first."""
        return [*self._running.values(), *self._idle]

    @property
    def retry_after(self) -> int:
        """Whole seconds, at least one, after which the queue has probably been worked off."""
        return max(1, math.ceil(self._usual * (self.waiting + self.running) / self._settings.workers))

    def check_room(self) -> None:
        """Raises OverloadedError where no job would be taken now."""
        if self._places.locked() and self.waiting >= self._settings.max_queue:
            raise OverloadedError(f"{self.waiting} requests are waiting already; try again later")

    async def do(self, job: Job) -> Answer:
        """Have a job done. Where the caller is cancelled, a job that waits is forgotten, and one that refines may end.

        Raises OverloadedError where too many are waiting, TimeLimitError, WorkerError, and what the job raises.
        """
        if not self._idle and not self._running:
            raise WorkerError("the service has no workers: its lifespan has not begun, or has ended")
        self.check_room()
        self.waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.waiting -= 1
        worker = self._idle.pop()
        try:
            if not worker.alive:
                worker = self._replaced(worker, "crash")
        except OSError:  # no process can be started now
            self._idle.append(worker)
            self._places.release()
            raise
        worker.tell_wanted()
        task = asyncio.create_task(self._done(worker, job))
        self._running[task] = worker
        task.add_done_callback(self._forget)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():  # else the worker is somebody else's by now
                worker.tell_unwanted()
            raise

    def _forget(self, task: asyncio.Task[Answer]) -> None:
        del self._running[task]
        if not task.cancelled():
            task.exception()  # nobody else may ask for it where its caller has gone

    async def _done(self, worker: Worker, job: Job) -> Answer:
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(START_SECONDS, worker.end_late)
        start = time.monotonic()

        def begun() -> None:
            nonlocal alarm, start
            alarm.cancel()
            alarm = loop.call_later(self._settings.max_seconds, worker.end_late)
            start = time.monotonic()

        try:
            return await loop.run_in_executor(self._threads, worker.do, job, lambda: loop.call_soon_threadsafe(begun))
        except TimeLimitError:
            worker = self._replaced(worker, "timeout")
            raise
        except WorkerError:
            if not worker.alive:
                worker = self._replaced(worker, "crash")
            raise
        finally:
            alarm.cancel()
            self._usual += 0.2 * (time.monotonic() - start - self._usual)
            self._idle.append(worker)
            self._places.release()

    def _replaced(self, worker: Worker, reason: str) -> Worker:
        self._died(reason)
        worker.close()
        return self._new()

    def _new(self) -> Worker:
        return Worker(self._settings.threads, self._warm)

    async def __aenter__(self) -> Self:
        self._threads = ThreadPoolExecutor(self._settings.workers, "glissando-worker")
        self._idle = [self._new() for _ in range(self._settings.workers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Finish what has begun, then end the workers."""
        if self._running:
            await asyncio.wait([*self._running])
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._threads, worker.close) for worker in self._idle))
        self._idle = []
        self._threads.shutdown()
