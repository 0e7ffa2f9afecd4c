"""Workers as actors of a Ray cluster, on one machine or many."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from glissando.errors import BatchError, InputError, explain

from .messages import Reply, Request
from .pools import STARTS, Died
from .worker import Work, Worker

__all__ = ["Actors"]

STORE_BYTES = 80 * 2**20
"""Of Ray's object store, where a cluster is started for the batch; nothing larger than a message goes through it."""


class Actors:
    """A pool of Ray actors, each with one core and one codec, which it opens when it starts.

    An actor has one request at a time, so that there are never more in the cluster than workers, and no picture ever
    passes through the driver. Where there is no cluster, one of this machine is started and ended.
    """

    def __init__(self, work: Work, size: int | None = None, *, address: str | None = None) -> None:
        """Connect to the cluster.

        ``size``: of the pool; None for as many as the cluster has cores. ``address``: of the cluster; None for the one
        that ``RAY_ADDRESS`` names or this process is connected to, or else one that is started. Raises InputError where
        Ray is not installed, BatchError where there is no such cluster.
        """
        try:
            import ray
        except ModuleNotFoundError:
            raise InputError("--engine ray needs the package ray: pip install 'glissando[ray]'") from None
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, size, address or os.environ.get("RAY_ADDRESS"))
        self.size = size or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._work = ray.put(work)
        self._kind = ray.remote(num_cpus=1, max_restarts=0)(_Actor)
        self._actors: dict[int, Any] = {}
        self._ready: set[int] = set()
        self._asked: dict[Any, tuple[int, Request]] = {}
        self._failed_starts = 0

    def send(self, slot: int, request: Request) -> None:
        """See ``Pool``."""
        if slot not in self._actors:
            self._actors[slot] = self._kind.remote(self._work)
        self._asked[self._actors[slot].answer.remote(request)] = slot, request

    def wait(self, *, block: bool) -> list[tuple[int, Reply | Died]]:
        """See ``Pool``."""
        found: list[tuple[int, Reply | Died]] = []
        while self._asked and not found:
            asked = list(self._asked)
            done, _ = self._ray.wait(asked, num_returns=1, timeout=None if block else 0)
            if not done:
                break
            done, _ = self._ray.wait(asked, num_returns=len(asked), timeout=0)  # and all others that came meanwhile
            for reference in done:
                slot, request = self._asked.pop(reference)
                reply = self._hear(slot, request, reference)
                if reply is not None:
                    found.append((slot, reply))
        return found

    def _hear(self, slot: int, request: Request, reference: Any) -> Reply | Died | None:
        """A worker's answer; None where it died before it was ready, and another was started."""
        try:
            reply: Reply = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            return self._bury(slot, request, error)
        self._ready.add(slot)
        self._failed_starts = 0
        return reply

    def _bury(self, slot: int, request: Request, error: Exception) -> Died | None:
        del self._actors[slot]
        if slot in self._ready:
            self._ready.discard(slot)
            return Died("its actor is gone")
        self._failed_starts += 1
        if self._failed_starts >= STARTS:
            raise BatchError(f"the workers cannot begin: {' '.join(str(error).split())}")
        self.send(slot, request)
        return None

    def close(self, *, kill: bool = False) -> None:
        """See ``Pool``."""
        if not kill and self._asked:
            self._ray.wait(list(self._asked), num_returns=len(self._asked))
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()
        self._asked.clear()
        if self._ours:
            self._ray.shutdown()


class _Actor:
    """What Ray runs in a process of its own."""

    def __init__(self, work: Work) -> None:
        self._worker: Worker = work.open()

    def answer(self, request: Request) -> Reply:
        return self._worker(request)


def _connect(ray: Any, size: int | None, address: str | None) -> None:
    started: dict[str, Any] = {}
    if address is None:
        started = {"num_cpus": size, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        with _unreported():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **started)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise BatchError(f"no Ray cluster at {address or 'this machine'}: {explain(error)}") from error


@contextlib.contextmanager
def _unreported() -> Iterator[None]:
    """Ray, which would report its use to its makers, is told not to, unless the user said otherwise."""
    name = "RAY_USAGE_STATS_ENABLED"
    if name in os.environ:
        yield
        return
    os.environ[name] = "0"
    try:
        yield
    finally:
        del os.environ[name]
