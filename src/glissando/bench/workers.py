"""Processes that do what they are asked, one call at a time, and that may die without taking the run along.

Codecs are C libraries and inference engines with threads of their own: a process that holds them is never forked
(``spawn``), and each process opens its own. A crash costs the one call; the process is then replaced.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from glissando.errors import BenchmarkError, GlissandoError

__all__ = ["THREAD_VARIABLES", "Worker", "each", "explain", "thread_environment"]

Task = TypeVar("Task")
Answer = TypeVar("Answer")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What numeric libraries read, when they are loaded, for the number of threads."""


def thread_environment(threads: int) -> dict[str, str]:
    """Environment of a process whose libraries use ``threads`` threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def explain(error: BaseException) -> str:
    """An error as one line."""
    text = " ".join(str(error).split())
    if isinstance(error, GlissandoError):
        return text or type(error).__name__
    if isinstance(error, MemoryError):
        return "not enough memory"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Worker:
    """A process of its own that imports ``plugins`` and then calls functions of modules.

    Functions, arguments and answers must be picklable. Use as a context, or ``close`` it.
    """

    def __init__(self, plugins: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, tuple(plugins)), daemon=True)
        with _inherited(environment or {}):
            self._process.start()
        theirs.close()

    def send(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Ask for a call; ``receive`` waits for the answer."""
        with contextlib.suppress(BrokenPipeError):  # the process died, which ``receive`` reports
            self.connection.send((function, arguments))

    def receive(self) -> Any:
        """The answer. Raises BenchmarkError where the function raised, or where the process died (``alive``)."""
        try:
            done, answer = self.connection.recv()
        except (EOFError, ConnectionError):
            self._process.join(5.0)
            code = self._process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            raise BenchmarkError(f"its process died ({how})") from None
        if not done:
            raise BenchmarkError(answer)
        return answer

    def call(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """Ask for a call and wait for its answer. Raises BenchmarkError as ``receive`` does."""
        self.send(function, *arguments)
        answer: Answer = self.receive()
        return answer

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self.connection.close()
        self._process.terminate()
        self._process.join(5.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def each(
    function: Callable[[Task], Answer], tasks: Iterable[Task], processes: int, plugins: Sequence[str] = ()
) -> Generator[tuple[Task, Answer | BenchmarkError], None, None]:
    """``function`` of every task, as they are done: the answer, or the error that it raised.

    With one process that is this one. Otherwise each worker's libraries are kept to one thread, as the tasks
    already fill the cores. Where the caller stops early (Ctrl-C too), the workers are ended.
    """
    if processes <= 1:
        for task in tasks:
            try:
                yield task, function(task)
            except Exception as error:
                yield task, BenchmarkError(explain(error))
        return
    waiting = iter(tasks)
    busy: dict[Connection, tuple[Worker, Task]] = {}

    def start(worker: Worker | None = None) -> None:
        """Give the next task to a worker, a new one unless given; close it where none is left."""
        try:
            task = next(waiting)
        except StopIteration:
            if worker is not None:
                worker.close()
            return
        if worker is None:
            worker = Worker(plugins, thread_environment(1))
        worker.send(function, task)
        busy[worker.connection] = (worker, task)

    try:
        for _ in range(processes):
            start()
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                worker, task = busy.pop(ready)
                answer: Answer | BenchmarkError
                try:
                    answer = worker.receive()
                except BenchmarkError as error:
                    answer = error
                if worker.alive:
                    start(worker)
                else:
                    worker.close()
                    start()
                yield task, answer
    finally:
        for worker, _ in busy.values():
            worker.close()


@contextlib.contextmanager
def _inherited(environment: Mapping[str, str]) -> Iterator[None]:
    """A process that is started in this block inherits the variables, and ignores Ctrl-C, which the parent handles."""
    before = {name: os.environ.get(name) for name in environment}
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if main:
            signal.signal(signal.SIGINT, handler)


def _serve(connection: Connection, plugins: Sequence[str]) -> None:
    """What the worker runs: it answers calls until the other end of the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        importlib.import_module("glissando.bench.codecs")
        for plugin in plugins:
            importlib.import_module(plugin)
        while True:
            function, arguments = connection.recv()
            try:
                answer = (True, function(*arguments))
            except Exception as error:
                answer = (False, explain(error))
            connection.send(answer)
