"""A service as a process of its own, and the clients that load it: polite ones, too many, slow, broken, and gone."""

from __future__ import annotations

import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from glissando.errors import BenchmarkError

__all__ = ["Reply", "Request", "ServiceProcess", "at_rate", "bad_requests", "in_turn", "send", "statuses", "vanish"]

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Request:
    """What a client sends."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Reply:
    """What came back; ``status`` is 0 where the connection broke."""

    status: int
    body: bytes = b""
    seconds: float = 0.0


class ServiceProcess:
    """``glissando serve`` with these options on any free port; ``stop`` ends it as a service manager does."""

    def __init__(self, *options: str) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by stop)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "glissando", "serve", "--port", "0", *options], stderr=self._log
        )
        self.port = self._port()

    def _port(self) -> int:
        end = time.monotonic() + 60
        while time.monotonic() < end and self._process.poll() is None:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", self.log()):
                return int(found[1])
            time.sleep(0.05)
        raise BenchmarkError(f"the service did not start: {self.log()[-500:]}")

    def log(self) -> str:
        """Everything that it has told."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode()

    def processes(self) -> list[int]:
        """Its own number, and those of its workers."""
        found = [self._process.pid]
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rsplit(")", 1)[1].split()
            except OSError:  # it has ended
                continue
            if int(fields[1]) == self._process.pid:
                found.append(int(path.parent.name))
        return found

    def workers(self) -> list[int]:
        """The numbers of its workers: of its processes, those that have an inference engine in memory."""
        return [number for number in self.processes()[1:] if "openvino" in _read(f"/proc/{number}/maps")]

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far."""
        ticks = 0
        for number in self.processes():
            fields = _read(f"/proc/{number}/stat").rsplit(")", 1)[-1].split()
            ticks += int(fields[11]) + int(fields[12]) if len(fields) > 12 else 0
        return ticks / _TICKS

    def resident(self) -> float:
        """Memory of all its processes in MB; what they share counts in each."""
        found = (re.search(r"VmRSS:\s+(\d+)", _read(f"/proc/{number}/status")) for number in self.processes())
        return sum(int(one[1]) for one in found if one) / 1000

    def stop(self) -> tuple[float, int]:
        """Send SIGTERM; how many seconds it took to end, and its exit code, negative for a signal."""
        start = time.perf_counter()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise BenchmarkError("the service did not end within two minutes") from None
        self._log.close()
        return time.perf_counter() - start, code


def _read(path: str) -> str:
    """A file of /proc; empty where the process has ended."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


@contextmanager
def _connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        yield connection
    finally:
        connection.close()


def send(request: Request, port: int, connection: http.client.HTTPConnection | None = None) -> Reply:
    """Send a request, over a connection that is there or a new one, and read the whole answer."""
    if connection is None:
        with _connection(port) as new:
            return send(request, port, new)
    start = time.perf_counter()
    try:
        connection.request("POST" if request.body else "GET", request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return Reply(0, b"", time.perf_counter() - start)
    return Reply(answer.status, body, time.perf_counter() - start)


def in_turn(requests: Sequence[Request], port: int, clients: int) -> list[Reply]:
    """All requests, by so many clients, each of which sends its next when it has its answer; in their order."""
    replies: list[Reply] = [Reply(0)] * len(requests)

    def client(first: int) -> None:
        with _connection(port) as connection:
            for number in range(first, len(requests), clients):
                replies[number] = send(requests[number], port, connection)

    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(client, range(clients)))
    return replies


def at_rate(requests: Sequence[Request], port: int, rate: float, clients: int) -> tuple[list[Reply], float]:
    """The answers to all requests, of which ``rate`` a second are sent whether answers come or not, and all seconds.

    ``clients``: how many may wait at once; a request finds one free unless so many wait.
    """
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        waiting = []
        for number, request in enumerate(requests):
            time.sleep(max(0.0, start + number / rate - time.perf_counter()))
            waiting.append(threads.submit(send, request, port))
        replies = [one.result() for one in waiting]
    return replies, time.perf_counter() - start


def bad_requests(picture: bytes, file: bytes, count: int) -> list[Request]:
    """So many requests that cannot be answered, of every kind in turn, the same each time."""
    rng = random.Random(7)
    form = (("Content-Type", "multipart/form-data; boundary=x"),)

    def damaged() -> bytes:
        broken = bytearray(file)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        return bytes(broken[: rng.randrange(1, len(broken))])

    kinds: list[Callable[[], Request]] = [
        lambda: Request("/encode", rng.randbytes(rng.randrange(1, 3000))),
        lambda: Request("/encode", picture[: rng.randrange(1, len(picture) // 2)]),
        lambda: Request("/decode", damaged()),
        lambda: Request("/info", file[: rng.randrange(1, 30)]),
        lambda: Request(f"/encode?quality={rng.choice(['x', '101', '-1', 'nan', '1e9'])}", picture[:100]),
        lambda: Request(f"/encode?{rng.randrange(10**9)}=1", picture[:100]),
        lambda: Request("/encode", b"--x\r\n" + rng.randbytes(300), form),
        lambda: Request(f"/img/..%2f{rng.randrange(10**9)}%2fetc%2fpasswd", b""),
        lambda: Request(f"/img/none/{rng.randrange(10**9)}/max/0/default.jpg", b""),
        lambda: Request(f"/{rng.randrange(10**9)}", b""),
        lambda: Request("/decode", file, (("Accept", "text/html"),)),
    ]
    return [kinds[number % len(kinds)]() for number in range(count)]


def statuses(replies: Sequence[Reply]) -> dict[str, int]:
    """How many replies there are of each status."""
    return {str(status): count for status, count in sorted(Counter(reply.status for reply in replies).items())}


def vanish(request: Request, port: int, share: float) -> None:
    """Send a share of a request, 1 for all of it, and close the connection without waiting for anything."""
    head = f"POST {request.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request.body)}\r\n\r\n".encode()
    data = head + request.body
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(data[: max(1, round(share * len(data)))])
