"""The section "Planes" of docs/format.md in plain Python, one sample at a time: slow, independent of the package."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from functools import cache

from bitstream_reference import Decoder, Table
from PIL import Image

Plane = list[list[int]]
Place = tuple[int, int]

DECAYS = """
    32 38 45 54 64 76 91 108 128 152 181 215 256 304 362 431 512
    609 724 861 1024 1217 1447 1721 2046 2432 2891 3435 4080 4844 5748 6814 8068 9536
    11244 13217 15471 18012 20830 23892 27146 30518 33924 37278 40503 43539 46341 48887 51169 53191 54967
    56514 57854 59008 59999 60846 61568 62182 62704 63146 63520 63836 64104 64330 64520 64681 64816"""


def varint(data: bytes) -> tuple[int, bytes]:
    """A number, and what follows it."""
    value = 0
    for i, byte in enumerate(data):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, data[i + 1 :]
    raise AssertionError("the number does not end")


def decode_planes(data: bytes, count: int, height: int, width: int, bits: int) -> list[Plane]:
    method, data = data[0], data[1:]
    if method == 2:
        text = "".join(f"{byte:08b}" for byte in data)
        numbers = [int(text[i : i + bits], 2) for i in range(0, count * height * width * bits, bits)]
        assert len(data) == -(-len(numbers) * bits // 8)
        assert "1" not in text[len(numbers) * bits :]
        rows = [numbers[i : i + width] for i in range(0, len(numbers), width)]
        return [rows[i : i + height] for i in range(0, len(rows), height)]
    if method == 1:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            pixels = list(image.convert("RGB").get_flattened_data())
        return [[[p[k] for p in pixels[i : i + width]] for i in range(0, len(pixels), width)] for k in range(count)]
    if method == 3:
        number, data = varint(data)
        length, data = varint(data)
        steps = struct.unpack(f"<{number}H", zlib.decompress(data[:length], wbits=-15))
        values = list(itertools.accumulate(steps))
        assert data[length] != 3
        numbers = decode_planes(data[length:], count, height, width, max((number - 1).bit_length(), 1))
        return [[[values[sample] for sample in row] for row in plane] for plane in numbers]
    assert method == 0
    length, data = varint(data)
    return Predicted(data[:length], data[length:], count, height, width, bits).planes


def frequencies(decay: int) -> list[int]:
    g = [2**32]
    while g[-1]:
        g.append(g[-1] * decay // 2**16)
    whole = 2 * sum(g) - g[0]
    return [2**24 * one // whole for one in g]


@cache
def tables() -> list[Table]:
    decays = [int(number) for number in DECAYS.split()]
    found = []
    for i in range(60):
        f, wide = frequencies(decays[i]), frequencies(decays[i + 7])
        for tail in (0, 1, 3):
            q = [((16 - tail) * (f[m] if m < len(f) else 0) + tail * wide[m]) // 16 for m in range(len(wide))]
            radius = min(255, 8 + 2 ** (i // 4) // 64)
            side = [1 + (q[m] if m < len(q) else 0) for m in range(1, radius + 1)]
            escape = 1 + 2 * sum(q[radius + 1 :])
            found.append((radius, [*side[::-1], 2**24 - 2 * sum(side) - escape, *side, escape]))
    for n in range(1, 12):
        radius = 2 ** (n - 1)
        row = [2 ** (24 - n)] * (2 * radius) + [1, 1]
        row[radius] = 2**24 - sum(row) + row[radius]
        found.append((radius, row))
    return found


class Predicted:
    """Planes by method 0."""

    def __init__(self, header: bytes, stream: bytes, count: int, height: int, width: int, bits: int) -> None:
        self.height, self.width, self.bits = height, width, bits
        numbers = zlib.decompress(header, wbits=-15)
        corners = struct.unpack_from(f"<{count}H", numbers)
        at = 2 * count
        self.weights: dict[tuple[int, int], tuple[tuple[int, ...], tuple[int, ...]]] = {}
        for kind in range(6):
            for k in range(count):
                of_prediction = struct.unpack_from(f"<{4 + 4 * k}h", numbers, at)
                of_error = struct.unpack_from(f"<{4 + k}h", numbers, at + 8 + 8 * k)
                self.weights[kind, k] = of_prediction, of_error
                at += 16 + 10 * k
        contexts = 4 * (bits + 4)
        choices = numbers[at:]
        assert len(choices) == count * contexts
        self.choices = [choices[k * contexts : (k + 1) * contexts] for k in range(count)]
        self.middle = 2 ** (bits - 1)
        self.samples: list[dict[Place, int]] = [{(0, 0): corner - self.middle} for corner in corners]
        self.errors: list[dict[Place, int]] = [{(0, 0): 0} for _ in corners]
        self.decoder = Decoder(stream)
        for h, between in self.stages():
            for k in range(count):
                self.decode_stage(h, between, k)
        assert self.decoder.empty
        self.planes = [
            [[known[row, column] + self.middle for column in range(width)] for row in range(height)]
            for known in self.samples
        ]

    def stages(self) -> Iterator[tuple[int, bool]]:
        s = 1
        while s < max(self.height, self.width):
            s *= 2
        while s > 1:
            s //= 2
            yield s, False
            yield s, True

    def places(self, h: int, between: bool) -> list[Place]:
        def lattice(row: int, column: int) -> list[Place]:
            return [(r, c) for r in range(row, self.height, 2 * h) for c in range(column, self.width, 2 * h)]

        return lattice(h, 0) + lattice(0, h) if between else lattice(h, h)

    def known(self, of: dict[Place, int], place: Place, h: int, down: int, right: int) -> int:
        """What is known of a neighbour."""

        def mirrored(i: int, side: int) -> int:
            n = -(-side // h)
            period = 2 * (n - 1)
            i = abs(i) % max(period, 1)
            return period - i if i >= n else i

        row, column = (i // h for i in place)
        return of.get((mirrored(row + down, self.height) * h, mirrored(column + right, self.width) * h), 0)

    def decode_stage(self, h: int, between: bool, k: int) -> None:
        places = self.places(h, between)
        if not places:
            return
        kind = 2 * min(h.bit_length() - 1, 2) + between
        first = ((0, -1), (0, 1)) if between else ((-1, -1), (1, 1))
        second = ((-1, 0), (1, 0)) if between else ((-1, 1), (1, -1))
        a, b = (1, 2) if between else (1, 3)
        far = [(i * x, j * y) for x, y in ((a, b), (b, a)) for i in (-1, 1) for j in (-1, 1)]
        of_prediction, of_error = self.weights[kind, k]
        if not any(of_prediction):
            of_prediction = (0,) * (1 + 4 * k) + (1024, 1024, 0)
        if not any(of_error):
            of_error = (64, 64) + (0,) * (2 + k)
        predictions, found = [], []
        for place in places:
            numbers = [1]
            for plane in range(k + 1):
                of = self.samples[plane]
                for offsets in (first, second, far):
                    numbers.append(sum(self.known(of, place, h, *offset) for offset in offsets))
                if plane < k:
                    numbers.append(of[place])
            p = (sum(w * n for w, n in zip(of_prediction, numbers, strict=True)) + 2048) // 4096
            predictions.append(min(max(p, -self.middle), self.middle - 1))

            one, other = (
                [self.known(self.samples[k], place, h, *offset) for offset in pair] for pair in (first, second)
            )
            numbers = [abs(one[0] - one[1]) + abs(other[0] - other[1]), abs(sum(one) - sum(other))]
            numbers.append(sum(self.known(self.errors[k], place, h, *offset) for offset in (*first, *second)))
            numbers += [1, *(self.errors[plane][place] for plane in range(k))]
            t = max(sum(w * n for w, n in zip(of_error, numbers, strict=True)), 16)
            (as_float,) = struct.unpack("<I", struct.pack("<f", t))
            found.append(self.choices[k][min((as_float >> 21) - 524, 4 * (self.bits + 4) - 1)])

        errors = self.decoder.decode([v if v < 180 else 3 * (52 + (v - 180) % 4) + 1 for v in found], tables())
        noisy = [i for i, v in enumerate(found) if v >= 180]
        if noisy:
            low = {i: 1 + (found[i] - 180) // 4 for i in noisy}
            rest = self.decoder.decode([179 + low[i] for i in noisy], tables())
            for i, symbol in zip(noisy, rest, strict=True):
                errors[i] = errors[i] * 2 ** low[i] + symbol + 2 ** (low[i] - 1)
        for place, p, e in zip(places, predictions, errors, strict=True):
            self.samples[k][place] = self.wrapped(p + e)
            self.errors[k][place] = abs(self.wrapped(e))

    def wrapped(self, number: int) -> int:
        return (number + self.middle) % (2 * self.middle) - self.middle
