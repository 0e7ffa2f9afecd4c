"""What colours mean, as code points and as chromaticities: ITU-T H.273, and the PNG chunks that tell the same."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRIMARIES", "SRGB", "TRANSFER_NAMES", "Chromaticities", "Cicp", "cicp_of", "gamma_of"]

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue, in this order, as in PNG's chunk cHRM."""

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)

PRIMARIES: dict[int, tuple[str, Chromaticities]] = {
    1: ("BT.709", (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)),
    4: ("BT.470 M", (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    5: ("BT.470 BG", (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06)),
    6: ("BT.601", (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    7: ("SMPTE 240M", (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    8: ("film", (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049)),
    9: ("BT.2020", (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    10: ("XYZ", (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0)),
    11: ("DCI-P3", (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: ("Display P3", (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    22: ("EBU 3213", (*_D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077)),
}
"""Name and chromaticities of each set of primaries (H.273, table 2)."""

TRANSFER_NAMES = {
    1: "BT.709",
    4: "gamma 2.2",
    5: "gamma 2.8",
    6: "BT.601",
    7: "SMPTE 240M",
    8: "linear",
    9: "logarithm 100:1",
    10: "logarithm 316:1",
    11: "xvYCC",
    12: "BT.1361",
    13: "sRGB",
    14: "BT.2020",
    15: "BT.2020",
    16: "PQ",
    17: "SMPTE 428",
    18: "HLG",
}
"""Names of the transfer characteristics (H.273, table 3)."""

_UNSPECIFIED = 2


@dataclass(frozen=True, slots=True)
class Cicp:
    """Colours as code points of ITU-T H.273: primaries and transfer characteristics, each 0 to 255.

    There is no matrix among them: samples are red, green and blue, over the whole range of their bits.
    """

    primaries: int
    transfer: int

    def __post_init__(self) -> None:
        if not (0 <= self.primaries <= 255 and 0 <= self.transfer <= 255):
            raise ValueError(f"code points are 0 to 255, not {self.primaries} and {self.transfer}")

    def __str__(self) -> str:
        primaries = PRIMARIES.get(self.primaries, (f"primaries {self.primaries}",))[0]
        return f"{primaries} {TRANSFER_NAMES.get(self.transfer, f'transfer {self.transfer}')}"

    @property
    def tells_something(self) -> bool:
        """Whether this is anything but sRGB, which pictures without a tag are taken for."""
        return self.primaries not in (1, _UNSPECIFIED) or self.transfer not in (13, _UNSPECIFIED)

    @property
    def specified(self) -> Cicp:
        """The same with those of sRGB in place of what is unspecified."""
        return Cicp(
            1 if self.primaries == _UNSPECIFIED else self.primaries,
            13 if self.transfer == _UNSPECIFIED else self.transfer,
        )

    @property
    def high_dynamic_range(self) -> bool:
        """Whether the brightest code stands for more than the white of paper: PQ or HLG."""
        return self.transfer in (16, 18)


SRGB = Cicp(1, 13)

_GAMMAS = {8: 1.0, 4: 2.2, 5: 2.8}


def gamma_of(transfer: int) -> float | None:
    """The exponent of transfer characteristics that are a pure power; None for others."""
    return _GAMMAS.get(transfer)


def cicp_of(chromaticities: Chromaticities | None, gamma: float | None) -> Cicp | None:
    """The code points of what PNG's chunks cHRM and gAMA say, None where no code points say it.

    Args:
        chromaticities: None where there is no cHRM: those of sRGB.
        gamma: the exponent that turns samples into light, 2.2 for a gAMA of 45455; None where there is no gAMA: sRGB.
    """
    primaries = 1
    if chromaticities is not None:
        names = (
            code
            for code, (_, known) in PRIMARIES.items()
            if all(abs(a - b) < 0.0011 for a, b in zip(known, chromaticities, strict=True))
        )
        primaries = next(names, 0)
    transfer = 13
    if gamma is not None:
        transfer = next((code for code, known in _GAMMAS.items() if abs(gamma / known - 1) < 0.001), 0)
    return Cicp(primaries, transfer) if primaries and transfer else None
