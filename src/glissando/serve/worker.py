"""A process that does jobs, one at a time, and that may be ended at any moment."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import logging.config
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from glissando.errors import GlissandoError, TimeLimitError, WorkerError

from .jobs import Answer, Codecs, Job
from .logs import configuration

__all__ = ["Worker"]

log = logging.getLogger("glissando.serve")


@dataclass(frozen=True)
class _Failure:
    """What a job raised. ``error``: one of ours, which pickles; or None for any other, which ``trace`` describes."""

    error: GlissandoError | None
    trace: str


class Worker:
    """One process, started at once (``spawn``: a process that holds an inference engine is never forked).

    ``threads``: processor cores that its codecs use. ``first``: a job that it does by itself before any other, so that
    its libraries are loaded and its networks compiled when the first request comes.
    """

    def __init__(self, threads: int, first: Job | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._unwanted = context.RawValue(ctypes.c_bool, False)  # without a lock, which a killed process would keep
        self._process = context.Process(target=_serve, args=(theirs, self._unwanted, threads, first), daemon=True)
        self._process.start()
        theirs.close()
        self._late = self._lost = self._ready = False

    @property
    def alive(self) -> bool:
        """Whether it can be given a job."""
        return not (self._late or self._lost) and self._process.is_alive()

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None  # since it was started
        return self._process.pid

    def do(self, job: Job, begun: Callable[[], object] = lambda: None) -> Answer:
        """Have a job done, and wait for its answer. ``begun`` is called when the process is ready and begins with it.

        Raises what the job raises of our errors; TimeLimitError where ``end_late`` was called meanwhile; WorkerError
        where the process died, or the job raised an error that is not ours, which is then ``__cause__``.
        """
        try:
            self._wait_until_ready()
            begun()
            self._connection.send(job)
            outcome = self._connection.recv()
        except (EOFError, OSError):
            self._lost = True
            self._process.join(5.0)
            if self._late:
                raise TimeLimitError("it took longer than this service allows") from None
            raise WorkerError(f"the process that worked on it died ({self._how()})") from None
        if isinstance(outcome, _Failure):
            if outcome.error is not None:
                raise outcome.error
            raise WorkerError("an unexpected error; the service's log has it") from RuntimeError(outcome.trace)
        assert isinstance(outcome, Answer)
        return outcome

    def _wait_until_ready(self) -> None:
        """Wait until what it does first is done. Raises EOFError where the process dies meanwhile."""
        if not self._ready:
            failure = self._connection.recv()
            self._ready = True
            if isinstance(failure, _Failure):
                log.warning("a worker could not warm up", extra={"error": str(failure.error), "trace": failure.trace})

    def _how(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

    def tell_wanted(self) -> None:
        """The next job comes, and somebody waits for it. To be called before ``do``, where ``tell_unwanted`` is."""
        self._unwanted.value = False

    def tell_unwanted(self) -> None:
        """Nobody waits for the job any more: it may end as soon as it can."""
        self._unwanted.value = True

    def end_late(self) -> None:
        """End the process, since its job takes too long."""
        self._late = True
        self._process.kill()

    def close(self) -> None:
        """Let the process end, which it does when its job is done; end it where that takes long."""
        self._connection.close()
        self._process.join(2.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(connection: Connection, unwanted: Any, threads: int, first: Job | None) -> None:
    """What the process runs: jobs, until the other end of the connection is closed."""
    # Ctrl-C and a service manager's SIGTERM reach all processes; the one that answers requests says when to end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.config.dictConfig(configuration("warning"))
    logging.captureWarnings(True)  # so that they are lines of the log too
    codecs = Codecs(threads, lambda: bool(unwanted.value))
    with contextlib.suppress(EOFError, OSError):
        outcome = None if first is None else _outcome(first, codecs)
        connection.send(outcome if isinstance(outcome, _Failure) else None)
        while True:
            job = connection.recv()
            connection.send(_outcome(job, codecs))
            del job  # its bytes need not wait for the next one


def _outcome(job: Job, codecs: Codecs) -> Answer | _Failure:
    start = time.perf_counter()
    try:
        answer = job.run(codecs)
    except GlissandoError as error:
        error.__cause__ = error.__context__ = None
        return _Failure(error, "")
    except MemoryError:
        return _Failure(WorkerError("not enough memory"), "")
    except Exception:
        return _Failure(None, traceback.format_exc())
    return replace(answer, seconds=time.perf_counter() - start)
