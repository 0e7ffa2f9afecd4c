"""The integer scale network: log2-scales of the latents' symbols, from symbols alone.

Integers are multiplied and added in float32. Every partial sum is proven to stay below 2^24 (``check_bounds``),
so that the order of summation, the processor and the library cannot matter. The
depthwise layer runs in int16, under a bound of its own. ``docs/format.md`` specifies the arithmetic; the
network that is trained, ``glissando.families.gains.scale_network``, computes the same numbers.

Arrays are channels-last, one tile at a time; outside the tile everything is zero, so a tile decodes alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from glissando.entropy.dense import EXACT, Dense, Float, largest_sums
from glissando.entropy.fixed_point import ACTIVATION_BITS, ACTIVATION_MAX, GAIN_BITS, MAGNITUDE_MAX, WEIGHT_BITS
from glissando.errors import ModelMismatchError

__all__ = ["LAYERS", "ScaleNetwork"]

LAYERS = ("z_mix", "z_up", "mid_mix", "mid_up", "first_out", "near", "second_mix", "second_out")
_TO_GAIN = GAIN_BITS - ACTIVATION_BITS  # 1/32 octave → 1/256 octave
_ROWS_AT_ONCE = 8
_NEAR_SHIFT = WEIGHT_BITS - ACTIVATION_BITS  # the depthwise layer reads whole magnitudes, not units of 1/32


def _upshuffle(x: Float) -> Float:
    """Depth to space, channels-last: (h, w, 4c) → (2h, 2w, c); channel 4c + 2i + j goes to (i, j)."""
    h, w, channels = x.shape
    out: Float = x.reshape(h, w, channels // 4, 2, 2).transpose(0, 3, 1, 4, 2).reshape(2 * h, 2 * w, channels // 4)
    return out


class ScaleNetwork:
    """The two passes' scales of one tile.

    ``arrays`` maps "NAME.weight" (outputs, inputs, k, k) and "NAME.bias" (outputs,) of every layer in LAYERS
    to integers. Raises ModelMismatchError where a layer is missing or its bound is not proven.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.integer]]) -> None:
        try:
            layers = {name: (arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in LAYERS}
        except KeyError as missing:
            raise ModelMismatchError(f"the scale network has no {missing}") from None
        self.check_bounds(layers)
        self._dense = {name: self._matrix(name, *layers[name]) for name in LAYERS if name != "near"}
        weight, bias = layers["near"]
        # (k·k, channels) int16, and the bias with the half that makes the shift a rounding.
        self._near_weight = weight[:, 0].reshape(len(bias), -1).T.astype(np.int16).copy()
        self._near_bias = (bias + (1 << (_NEAR_SHIFT - 1))).astype(np.int16)
        self._near_kernel = weight.shape[-1]
        self.latents = len(bias)

    @staticmethod
    def _matrix(name: str, weight: NDArray[np.integer], bias: NDArray[np.integer]) -> Dense:
        outputs, _, kernel, _ = weight.shape
        matrix = weight.transpose(2, 3, 1, 0).reshape(-1, outputs)
        half = 1 << (WEIGHT_BITS - 1)
        return Dense(
            np.ascontiguousarray(matrix, dtype=np.float32),
            (bias.astype(np.int64) + half).astype(np.float32),
            kernel,
            relu=not name.endswith("_out"),
        )

    @staticmethod
    def check_bounds(layers: Mapping[str, tuple[NDArray[np.integer], NDArray[np.integer]]]) -> dict[str, int]:
        """Largest possible |partial sum| of each layer. Raises ModelMismatchError above 2^24, for "near" above 2^15.

        Most inputs are never negative; those of ``z_mix``, and the scales that ``second_mix`` reads, may be either.
        """
        bounds = {}
        for name, (weight, bias) in layers.items():
            largest, limit = (MAGNITUDE_MAX, 2**15) if name == "near" else (ACTIVATION_MAX, EXACT)
            signed = {"z_mix": 0, "second_mix": len(layers["near"][1])}.get(name, int(weight.shape[1]))
            sums = largest_sums(weight, largest, signed) + np.abs(bias.astype(np.int64)) + (1 << WEIGHT_BITS)
            bounds[name] = int(sums.max())
            if bounds[name] >= limit:
                raise ModelMismatchError(
                    f"scale network, layer {name}: sums may reach {bounds[name]}, exact only below {limit}"
                )
        return bounds

    def first(self, z: NDArray[np.int32]) -> NDArray[np.int32]:
        """Hyper-latents (h/4, w/4, hyper) in 1/32, clipped → scales (h, w, latents) in 1/256 octave, ungained."""
        x = self._dense["z_mix"](z.astype(np.float32))
        x = _upshuffle(self._dense["z_up"](x))
        x = self._dense["mid_mix"](x)
        x = _upshuffle(self._dense["mid_up"](x))
        return self._dense["first_out"](x).astype(np.int32) << _TO_GAIN

    def second(self, magnitudes: NDArray[np.int16], scales: NDArray[np.int32]) -> NDArray[np.int32]:
        """Correction of the second pass's scales, (h, w, latents) in 1/256 octave.

        ``magnitudes`` |symbol| of the first pass, zero elsewhere; ``scales`` gained, in 1/256 octave.
        """
        h, w, channels = magnitudes.shape
        margin = self._near_kernel // 2
        padded = np.zeros((h + 2 * margin, w + 2 * margin, channels), dtype=np.int16)
        np.minimum(magnitudes, MAGNITUDE_MAX, out=padded[margin : margin + h, margin : margin + w])
        total = self._near_sums(padded, h, w)
        total >>= _NEAR_SHIFT
        both = np.empty((h, w, 2 * channels), dtype=np.float32)
        np.clip(total, 0, ACTIVATION_MAX, out=total)
        both[..., :channels] = total
        rounded = (scales + (1 << (_TO_GAIN - 1))) >> _TO_GAIN
        both[..., channels:] = np.clip(rounded, -ACTIVATION_MAX, ACTIVATION_MAX)
        return self._dense["second_out"](self._dense["second_mix"](both)).astype(np.int32) << _TO_GAIN

    def _near_sums(self, padded: NDArray[np.int16], h: int, w: int) -> NDArray[np.int16]:
        """The depthwise layer's sums, (h, w, channels), a few rows at a time so that they stay in the cache."""
        channels = padded.shape[2]
        lines = padded.reshape(len(padded), -1)  # a shift by one column is a shift by ``channels``
        weights = np.tile(self._near_weight, w)  # (k·k, w·channels)
        total = np.empty((h, w * channels), np.int16)
        product = np.empty((_ROWS_AT_ONCE, w * channels), np.int16)
        bias = np.tile(self._near_bias, w)
        for top in range(0, h, _ROWS_AT_ONCE):
            part = total[top : top + _ROWS_AT_ONCE]
            part[...] = bias
            terms = product[: len(part)]
            for tap, weight in enumerate(weights):
                row, column = divmod(tap, self._near_kernel)
                start = column * channels
                np.multiply(lines[top + row : top + row + len(part), start : start + w * channels], weight, out=terms)
                part += terms
        return total.reshape(h, w, channels)
