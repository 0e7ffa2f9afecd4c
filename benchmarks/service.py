"""The service under load, on the loopback address, bounded in count and time.

    python -m benchmarks.service measure --data DIR --json service.json        # DIR holds kodak/
    python -m benchmarks.service report service.json docs/service.md

First how many pictures a second it codes (``service_speed``); then ten times the load that it can serve, slow clients,
clients that go away, half files, bad requests, a killed worker, and its end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from glissando.machine import Machine, default_threads

from .commands import run_study
from .data import data_folder
from .documents import table, update_blocks
from .service_load import Reply, Request, ServiceProcess, at_rate, bad_requests, in_turn, send, statuses, vanish
from .service_speed import QUALITY, throughput

__all__ = ["main", "markdown", "measured"]

QUEUE = 16
LOAD = 10
"""How many times the load that can be served is sent."""
SLOW, GONE, HALF = 40, 100, 100


# What must not harm it -------------------------------------------------------------------------------------


@contextlib.contextmanager
def _peak(service: ServiceProcess, every: float = 0.2) -> Iterator[list[float]]:
    """The most memory of a service while the block runs, in MB, as the list's only item."""
    most, ended = [service.resident()], threading.Event()

    def watch() -> None:
        while not ended.wait(every):
            most[0] = max(most[0], service.resident())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def overload(service: ServiceProcess, picture: bytes, expected: bytes, rate: float, seconds: float) -> dict[str, Any]:
    """``LOAD`` times the load that can be served, for so long."""
    count = round(LOAD * rate * seconds)
    requests = [Request(f"/encode?quality={QUALITY}", picture)] * count
    before = service.resident()
    with _peak(service) as most:
        replies, took = at_rate(requests, service.port, LOAD * rate, 128)
    done = [reply for reply in replies if reply.status == 200]
    return {
        "sent": count,
        "seconds": took,
        "statuses": statuses(replies),
        "right": sum(reply.body == expected for reply in done),
        "rate": len(done) / took,
        "slowest": max((reply.seconds for reply in done), default=0.0),
        "refused_ms": 1000 * median([reply.seconds for reply in replies if reply.status == 429] or [0.0]),
        "before_mb": before,
        "peak_mb": most[0],
    }


def clients(service: ServiceProcess, picture: bytes) -> dict[str, Any]:
    """Slow clients, clients that go away, and half files, and what a polite client has of the service meanwhile."""
    request = Request(f"/encode?quality={QUALITY}", picture)
    alone = median(send(request, service.port).seconds for _ in range(5))
    before = service.resident()
    with contextlib.ExitStack() as stack, _peak(service) as most:
        for _ in range(SLOW):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            slow.sendall(b"POST /encode HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))
        beside = [send(request, service.port) for _ in range(5)]
        for number in range(GONE):
            vanish(request, service.port, 1.0)
            if number % 10 == 9:  # else so many wait that the rest would be refused at once
                beside.append(_patient(request, service.port))
        for _ in range(HALF):
            vanish(request, service.port, 0.5)
        beside += [_patient(request, service.port) for _ in range(5)]
    return {
        "slow": SLOW,
        "gone": GONE,
        "half": HALF,
        "statuses": statuses(beside),
        "alone_s": alone,
        "beside_s": median(reply.seconds for reply in beside[:5]),
        "before_mb": before,
        "peak_mb": most[0],
    }


def _patient(request: Request, port: int) -> Reply:
    """An answer other than 429, for which the client comes back some times."""
    for _ in range(60):
        reply = send(request, port)
        if reply.status != 429:
            break
        time.sleep(0.5)
    return reply


def bad(service: ServiceProcess, picture: bytes, file: bytes, count: int) -> dict[str, Any]:
    """So many bad requests; every one is to be answered with a status from 400 to 499."""
    before, start = service.resident(), time.perf_counter()
    with _peak(service) as most:
        replies = in_turn(bad_requests(picture, file, count), service.port, 8)
    return {
        "sent": count,
        "seconds": time.perf_counter() - start,
        "statuses": statuses(replies),
        "before_mb": before,
        "peak_mb": most[0],
        "after_mb": service.resident(),
    }


def killed(service: ServiceProcess, picture: bytes) -> dict[str, Any]:
    """A worker is killed while it works; its request's status, and the seconds until the next one was answered."""
    request = Request("/encode?effort=8", picture)
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(send(request, service.port)))
    workers = service.workers()
    thread.start()
    time.sleep(1.0)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    thread.join()
    after = send(Request(f"/encode?quality={QUALITY}", picture), service.port)
    return {"status": replies[0].status, "next_status": after.status, "next_s": after.seconds}


def stopped(service: ServiceProcess, picture: bytes) -> dict[str, Any]:
    """The service is told to end while it works and some requests wait."""
    replies: list[Reply] = []
    request = Request(f"/encode?quality={QUALITY}", picture)
    threads = [threading.Thread(target=lambda: replies.append(send(request, service.port))) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    seconds, code = service.stop()
    for thread in threads:
        thread.join()
    return {"statuses": statuses(replies), "seconds": seconds, "code": code}


# The study -------------------------------------------------------------------------------------------------


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Everything, as a JSON document has it."""
    paths = sorted((data_folder(given.data) / "kodak").glob("kodim*.png"))[: given.pictures or 8]
    pictures = [path.read_bytes() for path in paths]
    workers, threads = given.workers, max(1, default_threads() // given.workers)
    service = ServiceProcess("--workers", str(workers), "--threads", str(threads), "--max-queue", str(QUEUE))
    try:
        found = throughput(service, pictures, workers, threads, given.rounds)
        coded = found.pop("coded")
        found["overload"] = overload(service, pictures[0], coded[0], found["encode"]["served"], given.seconds)
        found["clients"] = clients(service, pictures[0])
        found["bad"] = bad(service, pictures[0], coded[0], given.bad)
        found["killed"] = killed(service, pictures[0])
    except BaseException:
        service.stop()
        raise
    found["stopped"] = stopped(service, pictures[0])
    return {
        **found,
        "workers": workers,
        "threads": threads,
        "queue": QUEUE,
        "pictures": len(pictures),
        "rounds": given.rounds,
        "machine": Machine.this().described,
        "date": datetime.now(UTC).date().isoformat(),
    }


def markdown(found: Mapping[str, Any]) -> str:
    """The tables, and a line about the machine."""
    speed = [
        [name, f"{row['direct']:.2f}", f"{row['served']:.2f}", f"{row['share']:.1%}", f"{row['cpu_share']:.1%}"]
        for name, row in ((name, found[name]) for name in ("encode", "decode"))
    ]
    head = ["", "codec called directly, per second", "service, per second", "share", "share of processor time"]

    def told(counts: Mapping[str, int]) -> str:
        words = {"0": "lost"}
        return ", ".join(f"{count:,} × {words.get(status, status)}" for status, count in counts.items())

    def memory(row: Mapping[str, float]) -> str:
        return f"{row['before_mb']:,.0f} → at most {row['peak_mb']:,.0f} MB"

    over, beside, wrong, dead, end = (found[name] for name in ("overload", "clients", "bad", "killed", "stopped"))
    rows = [
        [
            f"{LOAD} times the load that can be served: {over['sent']:,} requests in {over['seconds']:.0f} s",
            told(over["statuses"]),
            f"{over['right']:,} files right, {over['rate']:.2f} a second, the slowest after {over['slowest']:.1f} s; "
            f"429 within {over['refused_ms']:.0f} ms; {memory(over)}",
        ],
        [
            f"{beside['slow']} clients that stop in the middle of a body, {beside['gone']} that leave without waiting, "
            f"{beside['half']} half files",
            f"a polite client beside them: {told(beside['statuses'])}",
            f"{beside['beside_s']:.2f} s beside the slow ones, {beside['alone_s']:.2f} s alone; {memory(beside)}",
        ],
        [
            f"{wrong['sent']:,} bad requests in {wrong['seconds']:.0f} s",
            told(wrong["statuses"]),
            f"{memory(wrong)}, then {wrong['after_mb']:,.0f} MB",
        ],
        [
            "all workers killed (SIGKILL) during a request",
            f"{dead['status']}; the next request {dead['next_status']}",
            f"after {dead['next_s']:.1f} s",
        ],
        [
            "SIGTERM with 6 requests under way",
            told(end["statuses"]),
            f"ended after {end['seconds']:.1f} s",
        ],
    ]
    note = (
        f"Quality {QUALITY}, {found['pictures']} Kodak pictures (PNG, 768×512) to .gliss and back to PNG, medians of "
        f"{found['rounds']} rounds in turns; workers: {found['workers']}, threads of each: {found['threads']}, queue: "
        f"{found['queue']}; {found['machine']}, {found['date']}."
    )
    return "\n\n".join([table(head, speed), table(["load", "answers", ""], rows), note])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the results, or the document, were written."""

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, help="folder that holds kodak/; $GLISSANDO_DATA unless given")
        parser.add_argument("--workers", type=int, default=default_threads())
        parser.add_argument("--rounds", type=int, default=5)
        parser.add_argument("--seconds", type=float, default=20.0, help="how long the overload lasts")
        parser.add_argument("--bad", type=int, default=10_000, help="bad requests")

    return run_study(
        argparse.ArgumentParser(
            prog="python -m benchmarks.service",
            description=__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        ),
        arguments,
        options=options,
        measure=measured,
        markdown=markdown,
        report=lambda results, documents: update_blocks(documents, {"service": markdown(results)}),
        documents={"nargs": "+"},
    )


if __name__ == "__main__":
    raise SystemExit(main())
