"""The section "Planes" of docs/format.md in plain Python, one sample at a time: slow, independent of the package."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
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
        self.middle = 2 ** (bits - 1)
        numbers = zlib.decompress(header, wbits=-15)
        places = [(row, column) for row in range(0, height, 32) for column in range(0, width, 32)]
        grid = struct.unpack_from(f"<{count * len(places)}H", numbers)
        self.samples: list[dict[Place, int]] = [
            {place: grid[k * len(places) + i] - self.middle for i, place in enumerate(places)} for k in range(count)
        ]
        self.errors: list[dict[Place, int]] = [dict.fromkeys(places, 0) for _ in range(count)]
        at = 2 * len(grid)
        self.weights: dict[tuple[int, int], tuple[tuple[int, ...], tuple[int, ...]]] = {}
        for kind in range(9):
            for k in range(count):
                of_prediction = struct.unpack_from(f"<{4 + 4 * k}h", numbers, at)
                of_error = struct.unpack_from(f"<{4 + k}h", numbers, at + 8 + 8 * k)
                self.weights[kind, k] = of_prediction, of_error
                at += 16 + 10 * k
        contexts = 4 * (bits + 4)
        choices = numbers[at:]
        assert len(choices) == count * contexts
        self.choices = [choices[k * contexts : (k + 1) * contexts] for k in range(count)]
        self.decoder = Decoder(stream)
        for h in (16, 8, 4, 2, 1):
            for kind, (down, right) in enumerate(((h, h), (h, 0), (0, h))):
                for k in range(count):
                    self.decode_stage(h, kind, k, [
                        (row, column)
                        for row in range(down, height, 2 * h)
                        for column in range(right, width, 2 * h)
                    ])  # fmt: skip
        assert self.decoder.empty
        self.planes = [
            [[known[row, column] + self.middle for column in range(width)] for row in range(height)]
            for known in self.samples
        ]

    def known(self, of: dict[Place, int], place: Place, h: int, down: int, right: int) -> int:
        """What is known of a neighbour, or of the one that stands in its stead."""

        def inside(i: int, side: int) -> int:
            first, n = i % 2, -(-side // h)
            last = n - 1 - (n - 1 - first) % 2
            return min(max(i, first), last)

        row, column = inside(place[0] // h + down, self.height), inside(place[1] // h + right, self.width)
        return of.get((row * h, column * h), 0)

    def decode_stage(self, h: int, kind: int, k: int, places: list[Place]) -> None:
        if not places:
            return
        if kind == 0:
            first, second = ((-1, -1), (1, 1)), ((-1, 1), (1, -1))
        else:
            first, second = ((-1, 0), (1, 0)), ((0, -1), (0, 1))
        far = {
            0: [(i, j) for i in (-1, 1) for j in (-3, 3)] + [(i, j) for i in (-3, 3) for j in (-1, 1)],
            1: [(i, j) for i in (-1, 1) for j in (-2, 2)] + [(i, j) for i in (-2, 2) for j in (-1, 1)],
            2: [(i, j) for i in (-1, 1) for j in (-1, 1)],
        }[kind]
        of_prediction, of_error = self.weights[kind + {1: 0, 2: 3}.get(h, 6), k]
        if not any(of_prediction):
            of_prediction = (0,) * (1 + 4 * k) + (1024, 1024, 0)
        if not any(of_error):
            of_error = (64, 64) + (0,) * (2 + k)
        predictions, contexts = [], []
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
            contexts.append(min((as_float >> 21) - 524, 4 * (self.bits + 4) - 1))

        # Tables by the number of the context, so that a decoder meets the entries in this order.
        choices = self.choices[k]
        high = [tables()[v if v < 180 else 3 * (52 + (v - 180) % 4) + 1] for v in choices]
        low = [1 + (v - 180) // 4 for v in choices]  # bits that are plain, where positive
        errors = self.decoder.decode(contexts, high)
        noisy = [i for i, context in enumerate(contexts) if low[context] > 0]
        if noisy:
            rest = self.decoder.decode([contexts[i] for i in noisy], [tables()[179 + max(n, 0)] for n in low])
            for i, symbol in zip(noisy, rest, strict=True):
                n = low[contexts[i]]
                errors[i] = errors[i] * 2**n + symbol + 2 ** (n - 1)
        for place, p, e in zip(places, predictions, errors, strict=True):
            self.samples[k][place] = self.wrapped(p + e)
            self.errors[k][place] = abs(self.wrapped(e))

    def wrapped(self, number: int) -> int:
        return (number + self.middle) % (2 * self.middle) - self.middle
