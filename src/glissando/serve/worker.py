"""A process that does jobs, one at a time, and that may be ended at any moment."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
import traceback
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

from glissando.errors import GlissandoError, TimeLimitError, WorkerError

from .jobs import Answer, Codecs, Job

__all__ = ["Worker"]


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
        self._process = context.Process(target=_serve, args=(theirs, threads, first), daemon=True)
        self._process.start()
        theirs.close()
        self._late = self._lost = False

    @property
    def alive(self) -> bool:
        """Whether it can be given a job."""
        return not (self._late or self._lost) and self._process.is_alive()

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None  # since it was started
        return self._process.pid

    def do(self, job: Job) -> Answer:
        """Have a job done, and wait for its answer.

        Raises what the job raises of our errors; TimeLimitError where ``end_late`` was called meanwhile; WorkerError
        where the process died, or the job raised an error that is not ours, which is then ``__cause__``.
        """
        try:
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

    def _how(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

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


def _serve(connection: Connection, threads: int, first: Job | None) -> None:
    """What the process runs: jobs, until the other end of the connection is closed."""
    # Ctrl-C and a service manager's SIGTERM reach all processes; the one that answers requests says when to end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    codecs = Codecs(threads)
    if first is not None:
        _outcome(first, codecs)
    with contextlib.suppress(EOFError, OSError):
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
