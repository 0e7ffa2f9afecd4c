"""Workers as actors of a Ray cluster, on one machine or many."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from glissando.errors import BatchError, InputError, explain

from .messages import Done, Look, Looked, Reply, Request
from .pools import STARTS, Died
from .worker import Work, Worker

__all__ = ["Actors"]

STORE_BYTES = 80 * 2**20
"""Of Ray's object store, where a cluster is started for the batch; nothing larger than a message goes through it."""


TOGETHER = 16
"""Pictures that an actor gets in one call at most, since a call costs the driver far more than a picture does."""
CALL_SECONDS = 2.0
"""How long a call should take at most; that is also what is lost if its actor dies, and what Ctrl-C waits for."""
CALL_BYTES = 2**24
"""Of pictures that an actor gets in one call, unless it is one."""


class Actors:
    """A pool of Ray actors, each with one core and one codec, which it opens when it starts.

    An actor has one call at a time, with some pictures if they are small, so that never more are in the cluster than
    its workers hold. No picture ever passes through the driver. Where there is no cluster, one of this machine is
    started and ended.
    """

    def __init__(self, work: Work, size: int | None = None, *, address: str | None = None) -> None:
        """Connect to the cluster.

        ``size``: the number of actors; None for as many as the cluster has cores. ``address``: of the cluster; None for
        the one that ``RAY_ADDRESS`` names or this process is connected to, or else one that is started. Raises
        InputError where Ray is not installed, BatchError where there is no such cluster.
        """
        try:
            import ray
        except ModuleNotFoundError:
            raise InputError("--engine ray needs the package ray: pip install 'glissando[ray]'") from None
        self._ray: Any = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, size, address or os.environ.get("RAY_ADDRESS"))
        self._number = size or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.size = self._number * TOGETHER
        self._work = ray.put(work)
        self._kind = ray.remote(num_cpus=1, max_restarts=0)(_Actor)
        self._members: set[_Member] = set()
        self._starting: dict[Any, _Member] = {}  # by what tells that they are ready
        self._idle: list[_Member] = []
        self._holding: dict[int, _Member] = {}  # by the slots whose pictures they hold
        self._queue: deque[tuple[int, Look]] = deque()
        self._due: dict[_Member, None] = {}  # those that have something to be told
        self._asked: dict[Any, tuple[_Member, list[int]]] = {}  # members and slots, by what tells the answers
        self._pace = CALL_SECONDS  # seconds of a worker for a picture, lately
        self._failed_starts = 0

    def send(self, slot: int, request: Request) -> None:
        """See ``Pool``. A picture waits for whichever actor is free next, since the cluster may be short of cores."""
        if isinstance(request, Look):
            self._queue.append((slot, request))
        else:
            self._holding[slot].add(slot, request)
            self._due[self._holding[slot]] = None

    def _start(self) -> None:
        member = _Member(self._kind.remote(self._work))
        self._members.add(member)
        self._starting[member.actor.ready.remote()] = member

    def _hand_out(self) -> None:
        """Give idle actors what is waiting, and all actors that are not at work what they are to do."""
        for _ in range(min(self._number - len(self._members), len(self._queue) - len(self._starting))):
            self._start()
        while self._idle and self._queue:
            member = self._idle.pop()
            for slot, look in self._chunk():
                self._holding[slot] = member
                member.add(slot, look)
            self._due[member] = None
        for member in [each for each in self._due if not each.busy]:
            del self._due[member]
            requests, member.unsent = member.unsent, {}
            self._asked[member.actor.answer.remote(list(requests.values()))] = member, list(requests)
            member.busy = True

    def _chunk(self) -> list[tuple[int, Look]]:
        """The next pictures that one actor gets at once: as many as take it little time and memory."""
        most = min(TOGETHER, int(CALL_SECONDS / self._pace), -(-len(self._queue) // self._number))
        found = [self._queue.popleft()]
        left = CALL_BYTES - _bytes_of(found[0][1])
        while len(found) < most and (left := left - _bytes_of(self._queue[0][1])) >= 0:
            found.append(self._queue.popleft())
        return found

    def wait(self, *, block: bool) -> list[tuple[int, Reply | Died]]:
        """See ``Pool``."""
        found: list[tuple[int, Reply | Died]] = []
        self._hand_out()
        while (self._asked or self._queue) and not found:
            expected = [*self._asked, *self._starting]
            done, _ = self._ray.wait(expected, num_returns=1, timeout=None if block else 0)
            if not done:
                break
            done, _ = self._ray.wait(expected, num_returns=len(expected), timeout=0)  # all that came meanwhile
            for reference in done:
                if reference in self._starting:
                    self._welcome(reference)
                else:
                    found += self._hear(reference)
            self._hand_out()
        return found

    def _welcome(self, reference: Any) -> None:
        """Take an actor that is ready; or start another where it died before it was."""
        member = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._members.discard(member)
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise BatchError(f"the workers cannot begin: {' '.join(str(error).split())}") from None
            return
        self._failed_starts = 0
        self._idle.append(member)

    def _hear(self, reference: Any) -> list[tuple[int, Reply | Died]]:
        """An actor's answers. Once it holds no picture any more it is free for others."""
        member, slots = self._asked.pop(reference)
        member.busy = False
        try:
            replies: list[Reply] = self._ray.get(reference)
        except self._ray.exceptions.RayActorError:
            return self._bury(member)
        for slot, reply in zip(slots, replies, strict=True):
            if not isinstance(reply, Looked):
                member.held.discard(slot)
                del self._holding[slot]
            if isinstance(reply, Done):
                self._pace += (max(reply.seconds, 1e-3) - self._pace) / 8
        if not member.held:
            self._idle.append(member)
        return list(zip(slots, replies, strict=True))

    def _bury(self, member: _Member) -> list[tuple[int, Reply | Died]]:
        self._members.discard(member)
        self._due.pop(member, None)
        for slot in member.held:
            del self._holding[slot]
        return [(slot, Died("its actor is gone", first=not number)) for number, slot in enumerate(member.held)]

    def recall(self) -> list[int]:
        """See ``Pool``."""
        slots = [slot for slot, _ in self._queue]
        self._queue.clear()
        return slots

    def close(self, *, kill: bool = False) -> None:
        """See ``Pool``."""
        if not kill and self._asked:
            self._ray.wait(list(self._asked), num_returns=len(self._asked))
        for member in self._members:
            self._ray.kill(member.actor)
        if self._ours:
            self._ray.shutdown()


@dataclass(eq=False, slots=True)
class _Member:
    """An actor, the slots whose pictures it holds, what it is to be told of them, and whether it is at work."""

    actor: Any
    held: set[int] = field(default_factory=set)
    unsent: dict[int, Request] = field(default_factory=dict)
    busy: bool = False

    def add(self, slot: int, request: Request) -> None:
        self.held.add(slot)
        self.unsent[slot] = request


class _Actor:
    """What Ray runs in a process of its own."""

    def __init__(self, work: Work) -> None:
        self._worker: Worker = work.open()

    def ready(self) -> None:
        """Come back once it is, as all that is asked of an actor."""

    def answer(self, requests: list[Request]) -> list[Reply]:
        return [self._worker(request) for request in requests]


def _bytes_of(look: Look) -> int:
    """What a picture counts towards ``CALL_BYTES``: all of them where it is to be alone, or nothing is known."""
    return CALL_BYTES if look.alone or look.size is None else look.size


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
