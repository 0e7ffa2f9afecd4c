"""Pictures that are something like photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def natural_picture(height: int, width: int, seed: int = 0) -> Pixels:
    """Something like a photograph: noise with a 1/f spectrum, correlated colours, and one hard edge."""
    random = np.random.default_rng(seed)
    size = 1 << max(7, (max(height, width) - 1).bit_length())
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1.0

    def plane() -> NDArray[np.float64]:
        spectrum = random.normal(size=frequency.shape) + 1j * random.normal(size=frequency.shape)
        noise = np.fft.irfft2(spectrum / frequency**1.4, s=(size, size))
        return noise / noise.std()

    light, warm, tint = plane(), plane(), plane()
    light += np.where(np.add.outer(np.arange(size), 2 * np.arange(size)) > size, 0.8, -0.8)
    colours = np.stack([light + 0.3 * warm, light, light - 0.3 * warm + 0.2 * tint], axis=-1)
    return np.clip(np.rint(128 + 38 * colours), 0, 255).astype(np.uint8)[:height, :width]
