"""docs/format.md, "Maps" and "Quality field", in plain Python integers: slow, plain, independent of the package."""

from __future__ import annotations

from bitstream_reference import Decoder, Table

Place = tuple[int, int]


def passes(rows: int, columns: int) -> list[tuple[int, bool, list[Place]]]:
    """For each pass h, whether it has centres, and its positions in order."""
    step = 1
    while step < max(rows, columns):
        step *= 2
    found: list[tuple[int, bool, list[Place]]] = [(0, True, [(0, 0)])]
    h = step // 2
    while h >= 1:

        def places(odd_row: bool, odd_column: bool, h: int = h) -> list[Place]:
            return [
                (r, c)
                for r in range(rows)
                for c in range(columns)
                if r % h == c % h == 0 and (r // h % 2 == 1) == odd_row and (c // h % 2 == 1) == odd_column
            ]

        found.append((h, True, places(True, True)))
        found.append((h, False, places(True, False) + places(False, True)))
        h //= 2
    return [part for part in found if part[2]]


def predict(known: dict[Place, int], h: int, centres: bool, place: Place) -> tuple[int, int]:
    """Prediction and context of a position."""
    if h == 0:
        return 0, 0
    ways = [(-1, -1), (-1, 1), (1, -1), (1, 1)] if centres else [(-1, 0), (1, 0), (0, -1), (0, 1)]
    a = sorted(known[n] for dr, dc in ways if (n := (place[0] + dr * h, place[1] + dc * h)) in known)
    low, high = a[(len(a) - 1) // 2], a[len(a) // 2]
    r = a[-1] - a[0]
    if r == 0:
        g = 0
    elif r == 1:
        g = 2 if low != high else 1 if low == a[0] else 3
    else:
        g = 4 if r <= 3 else 5 if r <= 7 else 6
    d = {1: 0, 2: 1}.get(h, 2)
    return (low + high) // 2, 1 + 7 * (2 * d + (not centres)) + g


def decode_map(data: bytes, rows: int, columns: int, tables: list[Table]) -> list[list[int]]:
    """A map whose context t has table t."""
    decoder, known = Decoder(data), dict[Place, int]()
    for h, centres, places in passes(rows, columns):
        predicted = [predict(known, h, centres, place) for place in places]
        symbols = decoder.decode([context for _, context in predicted], tables)
        known.update(
            {place: value + symbol for place, (value, _), symbol in zip(places, predicted, symbols, strict=True)}
        )
    assert decoder.empty
    return [[known[r, c] for c in range(columns)] for r in range(rows)]


def table(below: int, above: int, near: int) -> Table:
    """The table of the numbers b, v and n."""
    sides, left = [], 0
    for chance in (below, above):
        m, side = chance * 2**12, []
        for _ in range(8):
            s = (m * near) >> 4
            side.append(1 + s)
            m -= s
        sides.append(side)
        left += m
    escape = 1 + left
    return 8, [*sides[0][::-1], 2**24 - escape - sum(sides[0]) - sum(sides[1]), *sides[1], escape]
