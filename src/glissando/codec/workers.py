"""Threads that work for whoever asks, as long as Python lets threads be started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

__all__ = ["Workers"]

T = TypeVar("T")
R = TypeVar("R")


class Workers:
    """A pool of threads, which are started when there is work for them.

    Once the main thread has ended, Python's pools take no more work, although other threads may go on. What such a
    thread gives to this pool is then done by itself.

    ``number``: of threads, at most.
    """

    def __init__(self, number: int) -> None:
        self._pool = _pool(number)

    def submit(self, work: Callable[..., R], *arguments: Any) -> Future[R]:
        """The future result of ``work(*arguments)``."""
        if self._pool is not None:
            try:
                return self._pool.submit(work, *arguments)
            except RuntimeError:  # the program is about to end, or the pool has been shut down meanwhile
                pass
        done: Future[R] = Future()
        try:
            done.set_result(work(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """The results of ``work`` on each item, in their order. After the first error, what is not begun is left."""
        futures = [self.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def shutdown(self) -> None:
        """Wait for what is running, and let the threads go."""
        if self._pool is not None:
            self._pool.shutdown()


def _pool(number: int) -> Executor | None:
    """A pool of Python's; None where it can no longer be made."""
    try:
        from concurrent.futures import ThreadPoolExecutor  # which registers something for the end of the main thread
    except RuntimeError:
        return None
    return ThreadPoolExecutor(number, thread_name_prefix="glissando")
