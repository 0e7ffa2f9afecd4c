"""Planes of integers of 1 to 16 bits, coded without loss: pixels, transparency, whatever must come back exactly.

``docs/content.md`` explains the method and measures it; docs/format.md, "Planes", is the specification.
"""

from .planes import decode_planes, encode_planes

__all__ = ["decode_planes", "encode_planes"]
