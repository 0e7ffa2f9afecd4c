"""Bayesian arithmetic coding: how fast, how near the entropy, how much memory.

``python -m benchmarks.bayes`` prints the tables; ``--values 100000000`` measures the memory that a larger array needs.
Everything runs in one thread, and times are the processor's for this process, so that other work on the machine
disturbs them little.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import bayes
from glissando.bayes.search import search
from glissando.bench.packages import package_versions
from glissando.machine import Machine

WEIGHTS = (1e-6, 0.01, 0.1, 1.0, 10.0)
REPEATS = 5


def problem(count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Normal means; deviations around 0.22, over three orders of magnitude."""
    random = np.random.default_rng(0)
    std = np.exp(random.standard_normal(count, dtype=np.float32) - 1.5)
    return random.standard_normal(count, dtype=np.float32), std


def seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Processor time of the fastest of several runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def measure_search(count: int = 1_000_000, max_bits: int = 10) -> None:
    """Values a second in both passes, beside sorting and deflating the same means."""
    mean, std = problem(count)
    points = np.array([[NormalDist().inv_cdf(x) for x in bayes.positions(max_bits)]])
    sort = count / seconds(lambda: np.sort(mean)) / 1e6
    deflate = count / seconds(lambda: zlib.compress(mean.tobytes(), 6), 1) / 1e6
    print(f"search, {count:,} float32 values, {max_bits} bits; million values a second")
    print(f"  np.sort of the means {sort:.1f}, zlib level 6 {deflate:.2f}")
    print(f"  {'weight':>8} {'pass 1':>8} {'pass 2':>8} {'any rates':>10} {'/ np.sort':>10} {'/ zlib':>8} {'depth':>6}")
    for weight in WEIGHTS:
        plain = np.arange(max_bits + 1.0)
        symbols = search(mean, std, points, plain, weight)
        rates = bayes.depth_rates(bayes.count_depths(symbols, max_bits))
        falling = plain[::-1].copy()  # the slowest: every depth has both neighbours looked at
        found = [
            count / seconds(partial(search, mean, std, points, rate, weight)) / 1e6 for rate in (plain, rates, falling)
        ]
        depth = bayes.depth_of(search(mean, std, points, rates, weight), max_bits).mean()
        speeds = " ".join(f"{f:>8.1f}" for f in found[:2])
        slow = min(found[:2])
        print(f"  {weight:>8g} {speeds} {found[2]:>10.1f} {slow / sort:>10.3f} {slow / deflate:>8.2f} {depth:>6.2f}")


def measure_files(sizes: tuple[int, ...]) -> None:
    """Bytes over the entropy, and throughput, from a thousand values to ten million."""
    print("\nfiles, float32, empirical prior; ideal: empirical entropy of the symbols, each group by itself")
    print(
        f"  {'values':>12} {'groups':>6} {'weight':>7} {'bits/value':>10} {'over ideal':>11} {'bytes':>8} "
        f"{'tables':>7} {'encode M/s':>11} {'decode M/s':>11}"
    )
    cases: list[tuple[tuple[int, ...], int | None]] = [((size,), None) for size in sizes]
    cases += [((1536, 256), 1), ((100_000, 10), 1)]
    for shape, groups in cases:
        mean, std = (array.reshape(shape) for array in problem(int(np.prod(shape))))
        for weight in (0.01, 1.0, 30.0):
            repeats = 3 if mean.size < 1e6 else 1
            made: list[Any] = []

            def encode(m: Any = mean, s: Any = std, w: float = weight, g: Any = groups, out: Any = made) -> None:
                out[:] = [bayes.compress(m, s, rate_weight=w, groups=g)]

            encoding = seconds(encode, repeats)
            data = made[0]
            decoding = seconds(partial(bayes.decompress, data), repeats)
            ideal = bayes.quantise(mean, std, weight, groups=groups).bits / 8
            (info,) = bayes.probe_arrays(data)
            print(
                f"  {mean.size:>12,} {info.groups:>6} {weight:>7g} {8 * len(data) / mean.size:>10.3f} "
                f"{100 * (len(data) / ideal - 1):>+10.2f}% {len(data) - ideal:>+8.0f} {info.mode:>7} "
                f"{mean.size / encoding / 1e6:>11.2f} {mean.size / decoding / 1e6:>11.2f}"
            )


LARGE = """
import sys, time
import numpy as np
from glissando import bayes
mean, std = (np.load(f"{sys.argv[1]}/{name}.npy", mmap_mode="r") for name in ("mean", "std"))
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e3
base = peak()
start = time.process_time()
data = bayes.compress(mean, std, rate_weight=1.0)
middle = time.process_time()
most = peak()
bayes.decompress(data)
end = time.process_time()
print(f"  {len(data):,} bytes, encode {middle - start:.1f} s, decode {end - middle:.1f} s; "
      f"peak memory {base:.0f} MB before, {most:.0f} MB after encoding (pages of the maps included), "
      f"{peak():.0f} MB after decoding")
"""


def measure_memory(count: int) -> None:
    """A process of its own that compresses two memory maps (Linux)."""
    print(f"\nmemory, {count:,} values from memory maps of {8 * count / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory() as folder:
        for name, array in zip(("mean", "std"), problem(count), strict=True):
            np.save(Path(folder, f"{name}.npy"), array)
        subprocess.run([sys.executable, "-c", LARGE, folder], check=True)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=10_000_000, help="of the large array whose memory is measured")
    parser.add_argument("--quick", action="store_true", help="nothing above a million values")
    options = parser.parse_args()
    machine, versions = Machine.this(), package_versions()
    print(
        f"{machine.described}, one thread, Python {machine.python}, "
        f"numpy {versions['numpy']}, constriction {versions['constriction']}"
    )
    measure_search()
    sizes = (1_000, 10_000, 100_000, 1_000_000)
    measure_files(sizes if options.quick else (*sizes, 10_000_000))
    sys.stdout.flush()
    measure_memory(1_000_000 if options.quick else options.values)


if __name__ == "__main__":
    main()
