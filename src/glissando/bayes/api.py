"""Arrays to bytes and back: what ``glissando.bayes`` offers first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glissando.bayes import priors
from glissando.bayes.coding import MODES, decode_rows
from glissando.bayes.frequencies import count_symbols, entropy
from glissando.bayes.layout import Layout
from glissando.bayes.posterior import Posterior
from glissando.bayes.search import check_rate_weight
from glissando.bayes.source import Source, points_of
from glissando.bayes.targets import guess_weight, largest_within
from glissando.bitstream import arrays
from glissando.bitstream.arrays import DEFAULT_ARRAY_LIMITS, DTYPES, ArrayLimits, Coded, Entry, Raw
from glissando.deflate import deflated, inflated
from glissando.errors import CorruptError, GlissandoError, InputError

__all__ = [
    "ArrayInfo",
    "Quantised",
    "compress",
    "compress_arrays",
    "decompress",
    "decompress_arrays",
    "probe_arrays",
    "quantise",
]

Buffer = bytes | bytearray | memoryview

LARGE = 1 << 20  # from this many values on, the rate weight for a wanted size is first sought on a sample


@dataclass(frozen=True, eq=False)
class Quantised:
    """What the search chose, for research.

    Attributes:
        symbols: int16, of the array's shape (``glissando.bayes.grid``).
        values: what they stand for, of the array's shape and type.
        bits: what all symbols take at their empirical entropy, each group by itself. No file with fixed tables is
            smaller.
        points: values of the code points, [G, 2^(N+1) - 1].
    """

    symbols: NDArray[np.int16]
    values: NDArray[Any]
    bits: float
    points: NDArray[Any]


@dataclass(frozen=True)
class ArrayInfo:
    """What a file says of one array. Prior, mode, max_bits and groups are None where the array is stored losslessly."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    payload_bytes: int
    prior: str | None  # "gaussian", "empirical" or "table"
    mode: str | None  # tables: "shared" by all groups, "own" for each, or "learnt"
    max_bits: int | None
    groups: int | None

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def bits_per_value(self) -> float:
        """Bits of the array's payload per element."""
        return 8 * self.payload_bytes / max(self.size, 1)


def compress(
    mean: ArrayLike,
    std: ArrayLike,
    *,
    rate_weight: float | None = None,
    target_bits_per_value: float | None = None,
    target_bytes: int | None = None,
    prior: str | priors.CdfTable = "empirical",
    max_bits: int = 10,
    groups: int | None = None,
    passes: int = 2,
) -> bytes:
    """Compress an array, each value as precisely as its deviation asks for.

    Args:
        mean: the array: float16, float32 or float64 of any shape; memory maps are read block by block.
        std: each value's posterior standard deviation, >= 0, of the same shape. 0 asks for the nearest code point,
            infinity says that any value will do.
        rate_weight: λ, how many nats of the posterior's log-density a saved bit may cost. Near 0 every value is kept
            to ``max_bits`` bits of its prior; 1 is moderate; large weights keep few bits.
        target_bits_per_value, target_bytes: instead of λ, the size of the whole file. The file is never larger, and
            at most 0.5 % smaller where the array allows sizes that close together. Exactly one of the three is given.
        prior: "empirical" (quantiles of the means), "gaussian" (fitted mean and deviation), "zero-gaussian" (mean 0,
            fitted root mean square), or a ``CdfTable``. At 10 bits a Gaussian's outermost points lie 3.3
            deviations from its mean; values beyond are moved there.
        max_bits: N, 1 .. 15, bits of the finest code points.
        groups: an axis (negative from the end) whose indices each have a prior and statistics of their own, such as
            channels; None for one group.
        passes: how many times code points are chosen: from the second time on by what each depth cost the time before.

    Returns:
        The bytes of a ``.glissa`` file (``docs/array-format.md``). In memory, symbols take
        2 bytes a value beside the array.

    Raises:
        InputError: unusable arguments; the message names the first position, or the smallest possible size.
    """
    return compress_arrays(
        {"": Posterior(np.asanyarray(mean), np.asanyarray(std))},
        rate_weight=rate_weight,
        target_bits_per_value=target_bits_per_value,
        target_bytes=target_bytes,
        prior=prior,
        max_bits=max_bits,
        groups=groups,
        passes=passes,
    )


def compress_arrays(
    named: Mapping[str, Posterior | tuple[NDArray[Any], NDArray[Any]] | NDArray[Any]],
    *,
    rate_weight: float | None = None,
    target_bits_per_value: float | None = None,
    target_bytes: int | None = None,
    prior: str | priors.CdfTable = "empirical",
    max_bits: int = 10,
    groups: int | Mapping[str, int | None] | None = None,
    passes: int = 2,
    raw: bool = False,
) -> bytes:
    """Compress several named arrays into one file, all at one rate weight.

    Args:
        named: name -> (mean, std), or an array without deviations.
        raw: carry arrays without deviations as they are, losslessly; without it they are an error.
        groups: an axis of every array, or name -> axis.
        target_bits_per_value: counts the values of all arrays.

    The other arguments, result and errors are those of ``compress``; errors name the array.
    """
    given = [x is not None for x in (rate_weight, target_bits_per_value, target_bytes)]
    if sum(given) != 1:
        raise InputError("give exactly one of rate_weight, target_bits_per_value and target_bytes")
    if rate_weight is not None:
        check_rate_weight(rate_weight)
    if not named:
        raise InputError("there are no arrays to compress")
    parts: dict[str, Source | Entry] = {}
    for name, item in named.items():
        axis = groups.get(name) if isinstance(groups, Mapping) else groups
        try:
            parts[name] = _part(name, item, prior=prior, max_bits=max_bits, axis=axis, passes=passes, raw=raw)
        except GlissandoError as error:
            if name:
                error.args = (f"array {name!r}: {error}",)
            raise

    def encode(weight: float) -> bytes:
        entries = []
        for name, part in parts.items():
            if isinstance(part, Source):
                part = Entry(name, part.dtype, part.layout.shape, part.encode(weight))
            entries.append(part)
        return arrays.write(entries)

    if rate_weight is not None:
        return encode(rate_weight)
    if target_bytes is None:
        assert target_bits_per_value is not None
        size = sum(part.size for part in parts.values())
        if not 0 < target_bits_per_value < np.inf:
            raise InputError(f"target_bits_per_value is {target_bits_per_value}; it must be positive")
        target_bytes = int(target_bits_per_value * size / 8)
    sources = [part for part in parts.values() if isinstance(part, Source)]
    if sum(source.size for source in sources) < LARGE:
        return largest_within(target_bytes, encode)
    guess = guess_weight(target_bytes, lambda weight: sum(source.estimate(weight) for source in sources))
    return largest_within(target_bytes, encode, guess, 0.1)


def _part(
    name: str,
    item: Posterior | tuple[NDArray[Any], NDArray[Any]] | NDArray[Any],
    *,
    prior: str | priors.CdfTable,
    max_bits: int,
    axis: int | None,
    passes: int,
    raw: bool,
) -> Source | Entry:
    if isinstance(item, tuple):
        mean, std = (np.asanyarray(array) for array in item)
        if mean.size or std.size:
            return Source(mean, std, prior=prior, max_bits=max_bits, axis=axis, passes=passes)
        item = mean
    elif not raw:
        raise InputError("there are no deviations; raw=True (--keep-raw) carries the array losslessly")
    return _raw_entry(name, np.asanyarray(item))


def _raw_entry(name: str, array: NDArray[Any]) -> Entry:
    dtype = array.dtype.newbyteorder("=")
    if dtype not in DTYPES.values():
        known = ", ".join(map(str, DTYPES.values()))
        raise InputError(f"elements of type {array.dtype} cannot be carried; known: {known}")
    data = np.ascontiguousarray(array).astype(dtype.newbyteorder("<"), copy=False).tobytes()
    return Entry(name, dtype, array.shape, Raw(deflated(data)))


def decompress(data: Buffer, *, max_values: int = DEFAULT_ARRAY_LIMITS.max_values) -> NDArray[Any]:
    """The array of a file that holds one, in its shape and type: the same bits on every machine.

    Raises:
        FormatError: the bytes are damaged, or no file of arrays; LimitError where they declare more than
            ``max_values`` values.
        InputError: the file holds several arrays.
    """
    found = decompress_arrays(data, max_values=max_values)
    if len(found) > 1:
        raise InputError(f"the file holds {len(found)} arrays; decompress_arrays returns them by name")
    return next(iter(found.values()))


def decompress_arrays(data: Buffer, *, max_values: int = DEFAULT_ARRAY_LIMITS.max_values) -> dict[str, NDArray[Any]]:
    """All arrays of a file by name; otherwise as ``decompress``."""
    entries = arrays.read(data, limits=replace(DEFAULT_ARRAY_LIMITS, max_values=max_values))
    return {entry.name: _decode(entry) for entry in entries}


def _decode(entry: Entry) -> NDArray[Any]:
    content = entry.content
    try:
        return _decode_raw(entry, content) if isinstance(content, Raw) else _decode_coded(entry, content)
    except CorruptError as error:
        if entry.name:
            error.args = (f"array {entry.name!r}: {error}",)
        raise


def _decode_raw(entry: Entry, content: Raw) -> NDArray[Any]:
    little = entry.dtype.newbyteorder("<")
    data = inflated(bytes(content.payload), entry.size * little.itemsize, "the stream of elements")
    if entry.dtype == bool and data.translate(None, b"\0\1"):
        raise CorruptError("a truth value is neither 0 nor 1")
    try:
        return np.frombuffer(data, little).astype(entry.dtype).reshape(entry.shape)
    except ValueError as error:  # one side is 0, and the product of the others is too large for any array
        raise CorruptError(f"there is no array of shape {entry.shape}: {error}") from None


def _decode_coded(entry: Entry, content: Coded) -> NDArray[Any]:
    layout = Layout(entry.shape, content.axis)
    knots = priors.read_knots(content.prior, bytes(content.parameters), layout.groups, entry.dtype)
    points = points_of(knots, content.max_bits, entry.dtype, content.exponent)
    values = np.empty(entry.shape, entry.dtype)
    columns = np.arange(layout.groups) * points.shape[1] + (points.shape[1] >> 1)
    table = points.ravel()
    for start, symbols in decode_rows(content, layout.rows, layout.groups):
        layout.put(values, start, table[symbols + columns])
    return values


def quantise(
    mean: ArrayLike,
    std: ArrayLike,
    rate_weight: float,
    *,
    prior: str | priors.CdfTable = "empirical",
    max_bits: int = 10,
    groups: int | None = None,
    passes: int = 2,
) -> Quantised:
    """Choose code points as ``compress`` does, and write no file. Arguments and errors are those of ``compress``."""
    check_rate_weight(rate_weight)
    given = np.asanyarray(mean)
    if not given.size:
        raise InputError("there are no values to quantise")
    source = Source(given, np.asanyarray(std), prior=prior, max_bits=max_bits, axis=groups, passes=passes)
    rows = source.symbols(rate_weight)
    symbols = np.empty(given.shape, np.int16)
    source.layout.put(symbols, 0, rows)
    values = np.empty(given.shape, source.dtype)
    half = (1 << max_bits) - 1
    source.layout.put(values, 0, source.points[np.arange(source.layout.groups), rows.astype(np.int64) + half])
    return Quantised(symbols, values, entropy(count_symbols(rows, max_bits)), source.points)


def probe_arrays(data: Buffer) -> list[ArrayInfo]:
    """What a file says of its arrays; no symbol is decoded. Raises FormatError where it is damaged."""
    found = []
    for entry in arrays.read(data, limits=ArrayLimits(max_values=2**40, max_points=2**32)):
        prior = mode = max_bits = groups = None
        if isinstance(entry.content, Coded):
            prior, mode = priors.NAMES[entry.content.prior], MODES[entry.content.mode]
            max_bits, groups = entry.content.max_bits, Layout(entry.shape, entry.content.axis).groups
        found.append(
            ArrayInfo(entry.name, entry.shape, str(entry.dtype), entry.payload_bytes, prior, mode, max_bits, groups)
        )
    return found
