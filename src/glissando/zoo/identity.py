"""What makes two models the same: what their decoders compute.

A model's hash is the beginning of a SHA-256 over, in this order, each preceded by its length in 8 bytes:

- the family's name;
- the decoder's configuration, as JSON with sorted keys and no spaces;
- the rule from numbers to pixels, ``PIXELS``;
- of every integer array, by name: the name, the type, the shape, the bytes in little-endian order;
- of every weight of the decoder, by name: the name, the shape, the float32 values that it is computed with.

The graphs' bytes are not part of it: another version of PyTorch or ONNX writes the same computation in other bytes.
Nor is anything that only training or an encoder uses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["HASH_BYTES", "PIXELS", "identity"]

HASH_BYTES = 8  # of the SHA-256, which a file carries

PIXELS = "pixels: round(255·clamp(x, 0, 1))"
"""How a decoder's numbers become 8-bit pixels."""


def identity(
    family: str,
    configuration: Mapping[str, Any],
    integers: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[np.float32]],
    pixels: str = PIXELS,
) -> str:
    """The hash of a decoder in 16 hex digits. With an encoder's arrays and ``pixels`` = "" it is an encoder's hash."""
    digest = hashlib.sha256()

    def add(data: bytes) -> None:
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)

    add(family.encode())
    add(json.dumps(configuration, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
    add(pixels.encode())
    for arrays, floats in ((integers, False), (weights, True)):
        add(str(len(arrays)).encode())
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<"))
            if floats:
                array = array.astype("<f4", copy=False)
            add(name.encode())
            add(array.dtype.str.encode())
            add(json.dumps(array.shape).encode())
            add(array.tobytes())
    return digest.digest()[:HASH_BYTES].hex()
