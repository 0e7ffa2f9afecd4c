"""What colours mean in AV1 data, which AVIF files need not repeat in their boxes: AV1 Bitstream & Decoding Process."""

from __future__ import annotations

from .colour_tags import Cicp

__all__ = ["cicp_in"]

_SEQUENCE_HEADER = 1
_SELECT = 2
_MOST_UNITS = 100


def cicp_in(data: bytes) -> Cicp | None:
    """The code points in the first sequence header of the beginning of AV1 data (5.5); None where it tells none."""
    try:
        header = _sequence_header(data)
        return None if header is None else _colour_description(_Bits(header))
    except (EOFError, IndexError):
        return None


def _sequence_header(data: bytes) -> bytes | None:
    """The content of the first unit that is a sequence header (5.3)."""
    at = 0
    for _ in range(_MOST_UNITS):
        head = data[at]
        at += 2 if head & 4 else 1
        size = len(data) - at
        if head & 2:
            size = 0
            for shift in range(0, 56, 7):
                byte = data[at]
                at += 1
                size |= (byte & 127) << shift
                if byte < 128:
                    break
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            return data[at : at + size]
        at += size
    return None


class _Bits:
    """The bits of a unit, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise EOFError
        return self._value >> self._left & (1 << count) - 1

    def skip_variable_length(self) -> None:
        """Skip a number of the kind uvlc (4.10.3)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        self.take(zeros)


def _colour_description(bits: _Bits) -> Cicp | None:
    """Read a sequence header up to the colours (5.5.1, 5.5.2)."""
    profile = bits.take(3)
    bits.take(1)
    reduced = bits.take(1)
    if reduced:
        bits.take(5)
    else:
        _skip_operating_points(bits)
    of_width, of_height = 1 + bits.take(4), 1 + bits.take(4)
    bits.take(of_width)
    bits.take(of_height)
    if not reduced and bits.take(1):  # frames have numbers
        bits.take(7)
    bits.take(3)
    if not reduced:
        bits.take(4)
        has_order = bits.take(1)
        if has_order:
            bits.take(2)
        screen_content = _SELECT if bits.take(1) else bits.take(1)
        if screen_content and not bits.take(1):
            bits.take(1)
        if has_order:
            bits.take(3)
    bits.take(3)

    high_depth = bits.take(1)
    if profile == 2 and high_depth:
        bits.take(1)
    if profile != 1:
        bits.take(1)  # whether it is grey
    return Cicp(bits.take(8), bits.take(8)) if bits.take(1) else None


def _skip_operating_points(bits: _Bits) -> None:
    """Skip times, models of decoders and operating points."""
    of_delay = 0
    if bits.take(1):
        bits.take(64)
        if bits.take(1):
            bits.skip_variable_length()
        if bits.take(1):
            of_delay = 1 + bits.take(5)
            bits.take(32 + 5 + 5)
    has_display_delay = bits.take(1)
    for _ in range(1 + bits.take(5)):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if of_delay and bits.take(1):
            bits.take(2 * of_delay + 1)
        if has_display_delay and bits.take(1):
            bits.take(4)
