"""ICC profiles: made for colours that only they can tell, and fitted to pictures with other channels.

Profiles are those of ICC.1:2022 (version 4), of the simplest kind: three primaries and a curve, or a curve for grey.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .colour_tags import PRIMARIES, Chromaticities, Cicp, gamma_of

__all__ = ["colour_space", "description", "fitting", "of_chromaticities", "of_cicp"]

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_CURVE_POINTS = 1024
_HEADER = 128

# Exponent g, and a, b, c, d of ICC's third parametric curve: (a·x + b)^g where x is at least d, else c·x.
_BT709 = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_PARAMETRIC: dict[int, tuple[float, ...]] = {
    **dict.fromkeys((1, 6, 11, 12, 14, 15), _BT709),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0912),
    13: (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    17: (2.6,),
}


def colour_space(profile: bytes) -> str:
    """What a profile's device colours are, such as ``RGB`` or ``GRAY``; empty where this is no profile."""
    if len(profile) < _HEADER or profile[36:40] != b"acsp":
        return ""
    return profile[16:20].decode("latin-1").strip()


def description(profile: bytes) -> str:
    """What a profile calls itself; empty where it does not say so, or is damaged."""
    tag = _tag(profile, b"desc") or b""
    if tag.startswith(b"desc"):  # of version 2: a length, and ASCII
        text = tag[12 : 12 + int.from_bytes(tag[8:12], "big")].decode("latin-1")
    elif tag.startswith(b"mluc") and len(tag) >= 28:
        length, offset = (int.from_bytes(tag[i : i + 4], "big") for i in (20, 24))
        text = tag[offset : offset + length].decode("utf-16-be", "replace")
    else:
        return ""
    return " ".join("".join(c for c in text if c.isprintable()).split())[:80]


def of_chromaticities(chromaticities: Chromaticities | None, gamma: float | None, *, grey: bool) -> bytes | None:
    """The profile of what PNG's chunks cHRM and gAMA say; None where these are no colours.

    Args:
        chromaticities, gamma: as in :func:`~glissando.picture.colour_tags.cicp_of`.
        grey: a profile for grey pictures, which have a curve and no primaries.
    """
    curve = _parametric(_PARAMETRIC[13] if gamma is None else (gamma,))
    return _profile(chromaticities or PRIMARIES[1][1], curve, "PNG gAMA and cHRM", grey=grey)


def of_cicp(cicp: Cicp, *, grey: bool) -> bytes | None:
    """The profile of code points, which it holds as well; None where they are not known.

    The curve of PQ has 1 for 10,000 candelas per square metre, that of HLG for the brightest a display shows.
    """
    cicp = cicp.specified
    if cicp.primaries not in PRIMARIES:
        return None
    curve = _curve(cicp.transfer)
    if curve is None:
        return None
    # Type, four reserved bytes, primaries, transfer, matrix (none) and full range (ICC.1:2022, 10.3).
    tag = b"cicp" + bytes(4) + bytes([cicp.primaries, cicp.transfer, 0, 1])
    return _profile(PRIMARIES[cicp.primaries][1], curve, str(cicp), grey=grey, more={} if grey else {b"cicp": tag})


def fitting(profile: bytes, *, grey: bool) -> bytes | None:
    """The profile for a picture that is grey, or RGB: itself, or one of the same curve; None where there is none.

    A grey profile becomes one for RGB in which equal channels look as the grey did; of a profile for RGB, grey pictures
    need the curve alone.
    """
    wanted = "GRAY" if grey else "RGB"
    space = colour_space(profile)
    if space == wanted or space not in ("GRAY", "RGB"):
        return profile if space in (wanted, "") else None
    curve = _tag(profile, b"gTRC" if grey else b"kTRC")
    if curve is None or curve[:4] not in (b"curv", b"para"):
        return None
    return _profile(PRIMARIES[1][1], curve, "grey" if grey else "grey as RGB", grey=grey)


def _tag(profile: bytes, signature: bytes) -> bytes | None:
    """The content of a profile's tag, None where there is none or the profile is damaged."""
    count = int.from_bytes(profile[128:132], "big")
    for at in range(132, min(132 + 12 * count, len(profile) - 11), 12):
        if profile[at : at + 4] == signature:
            offset, size = (int.from_bytes(profile[i : i + 4], "big") for i in (at + 4, at + 8))
            content: bytes = profile[offset : offset + size]
            return content if len(content) == size and size >= 12 else None
    return None


def _curve(transfer: int) -> bytes | None:
    """The curve from samples to light of transfer characteristics; None where they are not known."""
    gamma = gamma_of(transfer)
    if gamma is not None:
        return _parametric((gamma,))
    if transfer in _PARAMETRIC:
        return _parametric(_PARAMETRIC[transfer])
    x = np.linspace(0, 1, _CURVE_POINTS)
    if transfer == 16:  # SMPTE ST 2084
        p = x ** (32 / 2523)
        light = (np.maximum(p - 0.8359375, 0) / (18.8515625 - 18.6875 * p)) ** (16384 / 2610)
    elif transfer == 18:  # ARIB STD-B67
        light = np.where(x <= 0.5, x**2 / 3, (np.exp((x - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    elif transfer in (9, 10):
        light = np.where(x > 0, 10.0 ** ((x - 1) * (2 if transfer == 9 else 2.5)), 0)
    else:
        return None
    values: NDArray[np.uint16] = np.rint(light.clip(0, 1) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + values.tobytes()


def _parametric(numbers: tuple[float, ...]) -> bytes:
    kind = 0 if len(numbers) == 1 else 3
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, numbers))


def _profile(
    chromaticities: Chromaticities, curve: bytes, name: str, *, grey: bool, more: Mapping[bytes, bytes] | None = None
) -> bytes | None:
    tags = {b"desc": _text(name), b"cprt": _text("CC0"), b"wtpt": _xyz(_D50)}
    if grey:
        tags[b"kTRC"] = curve
    else:
        adaptation_and_primaries = _adapted(chromaticities)
        if adaptation_and_primaries is None:
            return None
        adaptation, primaries = adaptation_and_primaries
        tags[b"chad"] = b"sf32" + bytes(4) + b"".join(_fixed(float(value)) for value in adaptation.ravel())
        for letter, column in zip(b"rgb", primaries.T, strict=True):
            tags[bytes([letter]) + b"XYZ"] = _xyz(column)
            tags[bytes([letter]) + b"TRC"] = curve
    tags.update(more or {})

    table, content = b"", b""
    start = _HEADER + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}  # tags with the same content share it
    for signature, tag in tags.items():
        if tag not in places:
            places[tag] = start + len(content)
            content += tag + bytes(-len(tag) % 4)
        table += signature + struct.pack(">II", places[tag], len(tag))
    header = bytearray(_HEADER)
    header[0:4] = struct.pack(">I", start + len(content))
    header[8:12] = bytes([4, 0x40, 0, 0])  # version 4.4
    header[12:24] = b"mntr" + (b"GRAY" if grey else b"RGB ") + b"XYZ "
    header[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    header[36:40] = b"acsp"
    header[68:80] = b"".join(map(_fixed, _D50))
    return bytes(header) + struct.pack(">I", len(tags)) + table + content


def _adapted(chromaticities: Chromaticities) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The adaptation to D50, and under it X, Y and Z (rows) of red, green and blue; None where there are no such."""
    white, *primaries = (chromaticities[i : i + 2] for i in range(0, 8, 2))
    if white[1] <= 0.01:
        return None
    light = np.array([[x, y, 1 - x - y] for x, y in primaries]).T
    white_xyz = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    if abs(np.linalg.det(light)) < 1e-4:
        return None
    light = light * np.linalg.solve(light, white_xyz)
    response = _BRADFORD @ white_xyz
    if (response <= 1e-3).any():
        return None
    adaptation = np.linalg.solve(_BRADFORD, np.diag(_BRADFORD @ np.array(_D50) / response) @ _BRADFORD)
    adapted = adaptation @ light
    return (adaptation, adapted) if np.abs(adapted).max() < 100 else None


def _fixed(value: float) -> bytes:
    """A number in ICC's s15Fixed16."""
    return struct.pack(">i", round(min(max(value, -32768), 32767) * 65536))


def _xyz(values: NDArray[np.float64] | tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(float(value)) for value in values)


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(data), 28) + data
