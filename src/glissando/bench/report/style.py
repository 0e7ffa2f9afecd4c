"""How each codec is drawn, alike in the charts and in the legends of the page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..results import Results

__all__ = ["Style", "published_styles", "styles", "swatch"]

# Okabe and Ito's palette: told apart with every common kind of colour blindness. Yellow is left out, too pale on white.
_OURS = ("#D55E00", "#0072B2", "#CC79A7")
_PEERS = ("#000000", "#009E73", "#56B4E9", "#E69F00", "#CC79A7", "#0072B2")
_GREYS = ("#555555", "#888888")
_SOLID: tuple[float, ...] = ()
_DASHES: tuple[tuple[float, ...], ...] = (_SOLID, (5.0, 1.5), (3.0, 1.2, 1.0, 1.2), (1.2, 1.2), (7.0, 1.5, 1.0, 1.5))
_THIN_DASHES: tuple[tuple[float, ...], ...] = ((6.0, 3.0), (2.0, 2.0), (6.0, 2.0, 2.0, 2.0), (10.0, 4.0))

Polygon = tuple[tuple[float, float], ...]


def _ring(corners: int, turn: float = 0.0, inner: float = 1.0) -> Polygon:
    """A regular polygon, or a star where every other corner lies at the radius ``inner``; y points up."""
    angles = [math.tau * (k / corners + 0.25) + turn for k in range(corners)]
    radii = [inner if k % 2 else 1.0 for k in range(corners)]
    return tuple((r * math.cos(a), r * math.sin(a)) for a, r in zip(angles, radii, strict=True))


_CIRCLE, _SQUARE, _DIAMOND, _UP, _DOWN, _STAR, _CROSS = (
    _ring(24),
    _ring(4, math.pi / 4),
    _ring(4),
    _ring(3),
    _ring(3, math.pi),
    _ring(10, inner=0.45),
    _ring(8, inner=0.4),
)
_PEER_MARKERS = (_SQUARE, _UP, _DOWN, _DIAMOND, _CROSS, _STAR)


@dataclass(frozen=True)
class Style:
    """Colour, dashes in widths of the line, marker as a polygon within the unit circle (None for none)."""

    colour: str
    dashes: tuple[float, ...]
    marker: Polygon | None
    width: float  # in points


def styles(results: Results) -> dict[str, Style]:
    """One per codec: ours thick, with circles, peers thinner; each with a colour, a marker and dashes of its own."""
    found: dict[str, Style] = {}
    ours = [codec.name for codec in results.codecs if codec.ours]
    peers = [codec.name for codec in results.codecs if not codec.ours]
    for k, name in enumerate(ours):
        dashes = _DASHES[k // len(_OURS) % len(_DASHES)]
        found[name] = Style(_OURS[k % len(_OURS)], dashes, _CIRCLE, 2.8)
    for k, name in enumerate(peers):
        turn = k + k // len(_PEERS)  # each time that the colours begin anew, other markers and dashes go with them
        marker = _PEER_MARKERS[turn % len(_PEER_MARKERS)]
        found[name] = Style(_PEERS[k % len(_PEERS)], _DASHES[turn % len(_DASHES)], marker, 1.6)
    return found


def published_styles(results: Results) -> dict[str, Style]:
    """One per published curve: thin, grey, dashed, no markers, as none of its points was measured here."""
    return {
        curve.name: Style(_GREYS[k // len(_THIN_DASHES) % 2], _THIN_DASHES[k % len(_THIN_DASHES)], None, 1.0)
        for k, curve in enumerate(results.published)
    }


def swatch(style: Style) -> str:
    """A small drawing of the line for a legend in HTML."""
    dashes = " ".join(f"{style.width * part:.1f}" for part in style.dashes)
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    marker = ""
    if style.marker is not None:
        radius = 5.5 if style.width > 2.0 else 4.5
        corners = " ".join(f"{18 + radius * x:.1f},{8 - radius * y:.1f}" for x, y in style.marker)
        marker = f'<polygon points="{corners}" fill="{style.colour}"/>'
    return (
        '<svg class="swatch" viewBox="0 0 36 16" width="36" height="16" aria-hidden="true">'
        f'<path d="M0 8H36" stroke="{style.colour}" stroke-width="{style.width}"{dash}/>{marker}</svg>'
    )
