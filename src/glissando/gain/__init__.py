"""Gain units: one codec for one rate becomes one for every rate (needs ``glissando[train]``).

A gain unit multiplies each channel of a codec's latents by a gain before they are rounded, and by an inverse gain
after. Both are learnt at a few levels and interpolated exponentially in between. ``docs/gain-units.md`` has the method
and a study of what it is worth.

    from glissando.gain import Parts, gained

    codec = gained(model, Parts("analysis", "synthesis"), channels=192, lambdas=[0.001, 0.01, 0.1])
    with codec.at(60):
        data = model.compress(picture)

Source: Cui et al., "Asymmetric Gained Deep Image Compression With Continuous Rate Adaptation" (CVPR 2021, arXiv
2003.02012).
"""

from .adapters import gained_compressai, gained_vae, units_of
from .attach import Gained, Parts, gained, lambda_at
from .fixed import FixedGains
from .unit import Factors, GainUnit

__all__ = [
    "Factors",
    "FixedGains",
    "GainUnit",
    "Gained",
    "Parts",
    "gained",
    "gained_compressai",
    "gained_vae",
    "lambda_at",
    "units_of",
]
