"""Time and memory of each codec, warm, on pictures of several sizes.

Each codec has a process of its own, so that libraries do not disturb one another; only one works at a time, and
they take turns, round after round, so that noise on the machine disturbs all alike. A matrix product of NumPy takes its
turn with them: it says how fast the machine was while they were timed. Memory is measured in processes that are fresh
for each figure.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glissando.errors import BenchmarkError

from .codecs.base import Pixels
from .measure import kept_codec, kept_pixels, round_trip
from .progress import Progress
from .results import Failure, Memory, Timing
from .workers import Worker, thread_environment

__all__ = ["LIMIT_S", "MATRIX", "QUICK_SIZES", "RATE", "SIZES", "Speed", "measure_speed", "resized"]

FloatMatrix = NDArray[np.float32]

SIZES = (0.1, 0.4, 2.0, 8.0, 24.0)
"""Megapixels."""
QUICK_SIZES = (0.4,)
RATE = 0.5
"""bpp at which codecs are timed."""
LIMIT_S = 60.0
"""A codec is not timed at a size where encoding and decoding once would take longer than this."""
MATRIX = 2048
"""Rows and columns of the two float32 matrices whose product is timed."""
_BUDGET_S = 120.0
"""Rounds are left out where all of them would take longer, but one is always timed."""


@dataclass
class Speed:
    """What was measured; sizes that were left out; and what went wrong.

    ``matrix_product_gmac_s`` is the median over all rounds, in 10⁹ multiply-adds per second, or None without a round.
    """

    timings: list[Timing] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    matrix_product_gmac_s: float | None = None
    skipped: list[Failure] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass
class _Turn:
    """What a codec has been timed at on one size of picture."""

    name: str
    rounds: int = 0
    bytes: int = 0
    encode_s: list[float] = field(default_factory=list)
    decode_s: list[float] = field(default_factory=list)


def resized(pixels: Pixels, megapixels: float) -> Pixels:
    """A picture of 3:2 (or 2:3) and this size: reduced and cut where there is enough of it, else mirrored tiles."""
    long = max(1, round((megapixels * 1e6 * 1.5) ** 0.5))
    short = max(1, round(megapixels * 1e6 / long))
    have_h, have_w = pixels.shape[:2]
    h, w = (short, long) if have_w >= have_h else (long, short)
    if have_w >= w and have_h >= h:
        scale = max(w / have_w, h / have_h)
        size = (max(w, round(have_w * scale)), max(h, round(have_h * scale)))
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8)
        top, left = (size[1] - h) // 2, (size[0] - w) // 2
        return np.ascontiguousarray(small[top : top + h, left : left + w])
    rows, columns = _mirrored(h, have_h), _mirrored(w, have_w)
    return np.ascontiguousarray(pixels[rows[:, None], columns])


def _mirrored(wanted: int, have: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """``wanted`` indices into ``have`` samples that run to the last one, back to the first, and so on."""
    index = np.arange(wanted) % (2 * have)
    return np.where(index < have, index, 2 * have - 1 - index)


def measure_speed(
    picture: Path,
    settings: Mapping[str, float],
    threads: int,
    *,
    sizes: Sequence[float] = SIZES,
    rounds: int = 7,
    memory: bool = True,
    limit_s: float = LIMIT_S,
    plugins: Sequence[str] = (),
    progress: Progress | None = None,
) -> Speed:
    """Time codecs, each at its setting, on a picture brought to ``sizes`` (megapixels, rising).

    Figures are medians over up to ``rounds`` rounds after an untimed one. Codecs may use ``threads`` threads.
    """
    progress = progress or Progress()
    result = Speed()
    workers = {name: Worker(plugins, thread_environment(threads)) for name in settings}
    yardstick = Worker((), thread_environment(threads))
    products: list[float] = []  # seconds
    expected = dict.fromkeys(settings, 0.0)  # seconds per megapixel, by the size before
    progress.stage("timing", len(sizes) * len(settings))
    try:
        with tempfile.TemporaryDirectory(prefix="glissando-bench-") as folder:
            for size in sizes:
                array = Path(folder, f"picture-{size:g}.npy")
                made = resized(kept_pixels(picture), size)
                pixel_count = made.shape[0] * made.shape[1]
                np.save(array, made)
                del made
                for name in list(workers):
                    if expected[name] * size > limit_s:
                        message = (
                            f"not timed at {size:g} MP and above: to encode and decode once would take "
                            f"about {expected[name] * size:.0f} s, more than the limit of {limit_s:g} s"
                        )
                        result.skipped.append(Failure("timing", message, name, settings[name]))
                        workers.pop(name).close()
                turns = _take_turns(
                    workers, yardstick, products, array, settings, threads, rounds, expected, size, result, progress
                )
                for turn in turns:
                    result.timings.append(
                        Timing(
                            codec=turn.name,
                            megapixels=size,
                            setting=settings[turn.name],
                            bpp=8.0 * turn.bytes / pixel_count,
                            encode_s=median(turn.encode_s),
                            decode_s=median(turn.decode_s),
                            rounds=len(turn.encode_s),
                        )
                    )
                if memory:
                    for turn in turns:
                        _measure_memory(
                            turn.name, settings[turn.name], workers[turn.name], array, size, threads, plugins, result
                        )
                array.unlink()
    finally:
        for worker in (*workers.values(), yardstick):
            worker.close()
    if products:
        result.matrix_product_gmac_s = MATRIX**3 / median(products) / 1e9
    return result


def _take_turns(
    workers: dict[str, Worker],
    yardstick: Worker,
    products: list[float],
    array: Path,
    settings: Mapping[str, float],
    threads: int,
    rounds: int,
    expected: dict[str, float],
    size: float,
    result: Speed,
    progress: Progress,
) -> list[_Turn]:
    """Warm up, then rounds; a codec that fails is ended and timed no further."""
    turns = [_Turn(name) for name in workers]
    for number in range(rounds + 1):
        for turn in list(turns):
            if number > turn.rounds:
                continue
            try:
                encode_s, decode_s, turn.bytes = workers[turn.name].call(
                    _time_once, turn.name, threads, array, settings[turn.name]
                )
            except BenchmarkError as error:
                result.failures.append(Failure("timing", f"at {size:g} MP: {error}", turn.name, settings[turn.name]))
                turns.remove(turn)
                workers.pop(turn.name).close()
                continue
            if number == 0:
                once = encode_s + decode_s
                turn.rounds = max(1, min(rounds, int(_BUDGET_S / max(once, 1e-6)) - 1))
                progress.advance()
            else:
                turn.encode_s.append(encode_s)
                turn.decode_s.append(decode_s)
        seconds = yardstick.call(_time_matrix_product)
        if number:
            products.append(seconds)
    for turn in turns:
        expected[turn.name] = (median(turn.encode_s) + median(turn.decode_s)) / size
    return turns


def _measure_memory(
    name: str,
    setting: float,
    timed: Worker,
    array: Path,
    size: float,
    threads: int,
    plugins: Sequence[str],
    result: Speed,
) -> None:
    """Encoding and decoding, each in a fresh process; nothing is recorded where the system does not tell."""
    file = array.with_name("encoded.bin")
    try:
        timed.call(_write_encoded, name, threads, array, setting, file)
        with Worker(plugins, thread_environment(threads)) as worker:
            encode_mb = worker.call(_encode_peak, name, threads, array, setting)
        with Worker(plugins, thread_environment(threads)) as worker:
            decode_mb = worker.call(_decode_peak, name, threads, array, setting, file)
    except BenchmarkError as error:
        result.failures.append(Failure("memory", f"at {size:g} MP: {error}", name, setting))
        return
    if encode_mb is not None and decode_mb is not None:
        result.memory.append(Memory(name, size, encode_mb, decode_mb))


# ------------------------------------------------------------------------------------- in the workers


def _time_once(name: str, threads: int, array: Path, setting: float) -> tuple[float, float, int]:
    """Seconds to encode, seconds to decode, bytes."""
    pixels, codec = kept_pixels(array), kept_codec(name, threads)
    start = time.perf_counter()
    data = codec.encode(pixels, setting)
    middle = time.perf_counter()
    codec.decode(data)
    return middle - start, time.perf_counter() - middle, len(data)


@lru_cache(maxsize=1)
def _matrices() -> tuple[FloatMatrix, FloatMatrix, FloatMatrix]:
    """Two matrices to multiply, and one that takes their product."""
    left = np.random.default_rng(0).standard_normal((MATRIX, MATRIX), dtype=np.float32)
    return left, left.T.copy(), np.empty_like(left)


def _time_matrix_product() -> float:
    """Seconds for one product."""
    left, right, product = _matrices()
    start = time.perf_counter()
    np.matmul(left, right, out=product)
    return time.perf_counter() - start


def _write_encoded(name: str, threads: int, array: Path, setting: float, file: Path) -> None:
    file.write_bytes(kept_codec(name, threads).encode(kept_pixels(array), setting))


def _encode_peak(name: str, threads: int, array: Path, setting: float) -> float | None:
    """Megabytes (10⁶) that encoding takes beyond the loaded codec and the picture."""
    pixels, codec = np.load(array), kept_codec(name, threads)
    _warm(name, threads, pixels, setting)
    before = _reset_peak()
    codec.encode(pixels, setting)
    return _rise(before)


def _decode_peak(name: str, threads: int, array: Path, setting: float, file: Path) -> float | None:
    """Megabytes (10⁶) that decoding takes beyond the loaded codec and the file; the pixels are counted."""
    data, codec = file.read_bytes(), kept_codec(name, threads)
    _warm(name, threads, np.load(array, mmap_mode="r"), setting)
    before = _reset_peak()
    decoded = codec.decode(data)
    rise = _rise(before)
    del decoded
    return rise


def _warm(name: str, threads: int, pixels: Pixels, setting: float) -> None:
    """Have everything loaded that is loaded at the first use, by a small picture, and give back what that left."""
    with contextlib.suppress(BenchmarkError):
        round_trip(kept_codec(name, threads), np.ascontiguousarray(pixels[:64, :64]), setting)
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not every system has it
        # What the allocator keeps of the warm-up would be used again, and not be counted.
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> float | None:
    """Resident bytes now, from which the peak is counted; None where the system cannot (it is not Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def _rise(before: float | None) -> float | None:
    """Megabytes since ``_reset_peak``, and the largest program that was run, which counts as a whole."""
    if before is None:
        return None
    import resource  # not on every system; where there is no /proc this is not reached

    program = 1024.0 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (max(0.0, _status("VmHWM") - before) + program) / 1e6


def _status(key: str) -> float:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    if found is None:
        raise OSError(f"the system does not tell {key}")
    return 1024.0 * int(found.group(1))
