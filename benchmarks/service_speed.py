"""How many pictures a second the service codes, beside as many processes that call the codec directly, in turns.

Both by the clock and by processor time, of which that of the clients is left out.
"""

from __future__ import annotations

import contextlib
import functools
import io
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import glissando
from glissando.bench.workers import Worker, thread_environment
from glissando.errors import BenchmarkError

from .service_load import Request, ServiceProcess, in_turn, statuses

__all__ = ["QUALITY", "throughput"]

QUALITY = 60


@functools.cache
def _codec(threads: int) -> glissando.Codec:
    return glissando.open_model("medium", threads=threads)


def encode_directly(files: Sequence[bytes], threads: int) -> tuple[list[bytes], float]:
    """Picture files as .gliss files, and the processor time that it took."""
    start = time.process_time()
    done = [_codec(threads).encode(glissando.read_picture(io.BytesIO(file)), QUALITY) for file in files]
    return done, time.process_time() - start


def decode_directly(files: Sequence[bytes], threads: int) -> tuple[list[bytes], float]:
    """.gliss files as PNG, and the processor time that it took."""
    from glissando.picture import encode_picture

    start = time.process_time()
    done = [encode_picture(_codec(threads).decode_picture(file), "png")[0] for file in files]
    return done, time.process_time() - start


def _directly(function: Any, files: Sequence[bytes], processes: Sequence[Worker], threads: int) -> dict[str, Any]:
    """What ``function`` makes of the files in so many processes, by the clock and in processor time."""
    start = time.perf_counter()
    for number, process in enumerate(processes):
        process.send(function, files[number :: len(processes)], threads)
    parts = [process.receive() for process in processes]
    seconds = time.perf_counter() - start
    done = [parts[number % len(processes)][0][number // len(processes)] for number in range(len(files))]
    return {"files": done, "seconds": seconds, "cpu": sum(cpu for _, cpu in parts)}


def _served(path: str, files: Sequence[bytes], service: ServiceProcess, workers: int) -> dict[str, Any]:
    """The same by the service."""
    cpu, start = service.cpu_seconds(), time.perf_counter()
    replies = in_turn([Request(path, file) for file in files], service.port, 2 * workers)
    seconds = time.perf_counter() - start
    if any(reply.status != 200 for reply in replies):
        raise BenchmarkError(f"{path} answered {statuses(replies)}")
    return {"files": [reply.body for reply in replies], "seconds": seconds, "cpu": service.cpu_seconds() - cpu}


def throughput(
    service: ServiceProcess, pictures: Sequence[bytes], workers: int, threads: int, rounds: int
) -> dict[str, Any]:
    """Of encoding and decoding: pictures per second, directly and served, and the share of one in the other."""
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(Worker((), thread_environment(threads))) for _ in range(workers)]
        coded = _directly(encode_directly, pictures, processes, threads)["files"]
        work = (
            ("encode", encode_directly, pictures, f"/encode?quality={QUALITY}"),
            ("decode", decode_directly, coded, "/decode"),
        )
        for name, function, files, path in work:
            _served(path, files, service, workers)  # the first time some networks compile
            _directly(function, files, processes, threads)
            pairs = []
            for _ in range(rounds):
                pairs.append((_directly(function, files, processes, threads), _served(path, files, service, workers)))
            for direct, served in pairs:
                if direct["files"] != served["files"]:
                    raise BenchmarkError(f"{name}: the service gives other files than the codec")
            found[name] = {
                "direct": median(len(files) / direct["seconds"] for direct, _ in pairs),
                "served": median(len(files) / served["seconds"] for _, served in pairs),
                "share": median(direct["seconds"] / served["seconds"] for direct, served in pairs),
                "cpu_share": median(direct["cpu"] / served["cpu"] for direct, served in pairs),
            }
    found["coded"] = coded
    return found
