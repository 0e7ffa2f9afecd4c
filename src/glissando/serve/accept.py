"""What a client wants to have, after its header Accept."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["chosen", "names"]


def _parsed(header: str) -> list[tuple[str, float]]:
    """The media ranges of a header, in lower case and without parameters, each with its weight, 0 to 1."""
    ranges = []
    for item in header.split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "q":
                try:
                    weight = min(max(float(value), 0.0), 1.0)
                except ValueError:
                    weight = 0.0
        if kind:
            ranges.append((kind.lower(), weight if weight == weight else 0.0))
    return ranges


def chosen(header: str, offers: Sequence[str]) -> str | None:
    """The offer that a client weighs most, of several such the first; None where it accepts none.

    ``header``: the value of Accept, empty where there is none, which accepts everything. ``offers``: media types.
    """
    ranges = _parsed(header) or [("*/*", 1.0)]

    def weight(offer: str) -> float:
        for form in (offer, offer.split("/")[0] + "/*", "*/*"):  # the most specific range counts
            for kind, found in ranges:
                if kind == form:
                    return found
        return 0.0

    best = max(offers, key=weight)
    return best if weight(best) > 0 else None


def names(header: str, kind: str) -> bool:
    """Whether a header names this very media type, rather than a range that contains it, and does not refuse it."""
    return any(found == kind and weight > 0 for found, weight in _parsed(header))
