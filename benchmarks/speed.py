"""Speed of a warm process: pixels in memory to file bytes and back, beside AVIF and a matrix product.

Everything is timed in turn, round after round, so that noise on the machine disturbs all alike. It runs in a
process of its own, ``python -m benchmarks.speed``, because the number of threads that NumPy's matrix product
uses is read from the environment when NumPy is imported; the results go to standard output as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np

from glissando.errors import GlissandoError

from .api import BenchmarkError, Codec, load_api
from .data import Picture, load_pictures
from .peers import AVIF, nearest_quality

__all__ = ["RATES", "Speed", "SpeedAtRate", "measure_speed", "speed_in_fresh_process"]

RATES = (0.25, 0.5, 1.0)
"""Rates, bpp, at which speed is measured; the figures of the table are those at HEADLINE_RATE."""
HEADLINE_RATE = 0.5
_MATRIX = 2048


@dataclass(frozen=True)
class SpeedAtRate:
    """Medians at one rate. Seconds are for one picture, averaged over the pictures' medians."""

    target_bpp: float
    quality: float
    bpp: float
    encode_s: float
    decode_s: float
    encode_share: float
    """Multiply-adds per second of the encoder's path over those of the matrix product."""
    decode_share: float
    avif_quality: int | None
    avif_bpp: float | None
    avif_encode_s: float | None
    avif_decode_s: float | None


@dataclass(frozen=True)
class Speed:
    """Speed on one machine at several rates."""

    pictures: list[str]
    rounds: int
    threads: int
    backend: str
    precision: str
    matmul_gmac_per_s: float
    """What one f32 matrix product of 2048 x 2048 x 2048 reaches in NumPy (median), 10⁹ multiply-adds/s."""
    encode_kmac_per_pixel: float
    decode_kmac_per_pixel: float
    rates: list[SpeedAtRate]

    @property
    def headline(self) -> SpeedAtRate:
        """The figures at the rate that the table states."""
        return min(self.rates, key=lambda r: abs(r.target_bpp - HEADLINE_RATE))

    @classmethod
    def from_json(cls, values: dict[str, object]) -> Speed:
        """The inverse of ``dataclasses.asdict``."""
        rates = values.pop("rates")
        assert isinstance(rates, list)
        return cls(rates=[SpeedAtRate(**rate) for rate in rates], **values)  # type: ignore[arg-type]


def measure_speed(
    codec: Codec,
    pictures: Sequence[Picture],
    threads: int,
    *,
    rates: Sequence[float] = RATES,
    rounds: int = 7,
    matrix: int = _MATRIX,
    say: Callable[[str], None] = lambda _: None,
) -> Speed:
    """Time the codec, AVIF (4:4:4, speed 6) at about the same bpp, and a matrix product, interleaved.

    Qualities are searched so that the pictures' mean bpp is near each of `rates`. The first round warms up
    and is not counted.
    """
    if not pictures or rounds < 1:
        raise BenchmarkError("speed needs at least one picture and one round")
    pixels = [picture.pixels for picture in pictures]
    pixel_count = fmean(p.shape[0] * p.shape[1] for p in pixels)
    with_avif = AVIF.available()

    def mean_bpp(encode: Callable[[int], list[bytes]]) -> Callable[[int], float]:
        return lambda quality: fmean(8.0 * len(data) / pixel_count for data in encode(quality))

    our_bpp = mean_bpp(lambda quality: [codec.encode(p, float(quality)) for p in pixels])
    avif_bpp = mean_bpp(lambda quality: [AVIF.encode(p, quality, threads) for p in pixels])
    say("finding the qualities of the wanted rates")
    ours = [nearest_quality(our_bpp, rate) for rate in rates]
    avifs = [nearest_quality(avif_bpp, rate, 1, 100) if with_avif else None for rate in rates]

    left = np.random.default_rng(0).standard_normal((matrix, matrix), dtype=np.float32)
    right = left.T.copy()
    product = np.empty_like(left)
    times: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        say(f"round {turn} of {rounds}" if turn else "warming up")
        for r, (quality, avif_quality) in enumerate(zip(ours, avifs, strict=True)):
            for i, picture in enumerate(pixels):
                clocks = [time.perf_counter()]
                data = codec.encode(picture, float(quality))
                clocks.append(time.perf_counter())
                codec.decode(data)
                clocks.append(time.perf_counter())
                names = ["encode", "decode"]
                if avif_quality is not None:
                    data = AVIF.encode(picture, avif_quality, threads)
                    clocks.append(time.perf_counter())
                    AVIF.decode(data, threads)
                    clocks.append(time.perf_counter())
                    names += ["avif-encode", "avif-decode"]
                np.matmul(left, right, out=product)
                clocks.append(time.perf_counter())
                if turn:
                    for name, start, end in zip([*names, "matmul"], clocks, clocks[1:], strict=False):
                        times[name, r, i].append(end - start)

    matmul = matrix**3 / median(t for (name, _, _), ts in times.items() if name == "matmul" for t in ts)

    def seconds(name: str, rate: int) -> float:
        return fmean(median(times[name, rate, i]) for i in range(len(pixels)))

    result = []
    for r, (rate, quality, avif_quality) in enumerate(zip(rates, ours, avifs, strict=True)):
        encode_s, decode_s = seconds("encode", r), seconds("decode", r)
        result.append(
            SpeedAtRate(
                target_bpp=rate,
                quality=float(quality),
                bpp=our_bpp(quality),
                encode_s=encode_s,
                decode_s=decode_s,
                encode_share=1e3 * codec.card.encode_kmac_per_pixel * pixel_count / encode_s / matmul,
                decode_share=1e3 * codec.card.decode_kmac_per_pixel * pixel_count / decode_s / matmul,
                avif_quality=avif_quality,
                avif_bpp=None if avif_quality is None else avif_bpp(avif_quality),
                avif_encode_s=None if avif_quality is None else seconds("avif-encode", r),
                avif_decode_s=None if avif_quality is None else seconds("avif-decode", r),
            )
        )
    return Speed(
        pictures=[picture.name for picture in pictures],
        rounds=rounds,
        threads=threads,
        backend=str(getattr(codec, "backend", "auto")),
        precision=str(getattr(codec, "precision", "auto")),
        matmul_gmac_per_s=matmul / 1e9,
        encode_kmac_per_pixel=float(codec.card.encode_kmac_per_pixel),
        decode_kmac_per_pixel=float(codec.card.decode_kmac_per_pixel),
        rates=result,
    )


def child_environment() -> dict[str, str]:
    """This process's environment, with what it imports from also importable by a child process."""
    path = [str(Path(__file__).resolve().parents[1]), *(p for p in sys.path if p)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


def speed_in_fresh_process(
    data: Path,
    model: str,
    backend: str,
    precision: str,
    threads: int,
    pictures: int,
    rounds: int,
    api: str = "glissando",
) -> Speed:
    """`measure_speed` in a child whose NumPy, codec and AVIF all use `threads` threads."""
    environment = child_environment()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        environment[name] = str(threads)
    command = [sys.executable, "-m", "benchmarks.speed", "--data", str(data.resolve()), "--model", model]
    command += ["--backend", backend, "--precision", precision, "--threads", str(threads)]
    command += ["--pictures", str(pictures), "--rounds", str(rounds), "--api", api]
    child = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if child.returncode != 0:
        raise BenchmarkError(f"the speed measurement failed (exit code {child.returncode}); see above")
    values: dict[str, object] = json.loads(child.stdout.strip().splitlines()[-1])
    return Speed.from_json(values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure speed and print it as one line of JSON; words about progress go to standard error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds kodak/")
    parser.add_argument("--model", default="medium")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--api", default="glissando", help="module with open_model and probe")
    given = parser.parse_args(arguments)
    try:
        codec = load_api(given.api).open_model(
            given.model, backend=given.backend, precision=given.precision, threads=given.threads
        )
        speed = measure_speed(
            codec,
            load_pictures(given.data, given.pictures),
            given.threads,
            rounds=given.rounds,
            say=lambda words: print(f"  speed: {words}", file=sys.stderr, flush=True),
        )
    except (BenchmarkError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(speed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
