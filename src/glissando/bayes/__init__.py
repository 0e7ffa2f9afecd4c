"""Bayesian arithmetic coding: any array with posterior uncertainty, to a file and back.

    from glissando import bayes

    data = bayes.compress(mean, std, rate_weight=1.0)      # each value as precise as its deviation asks for
    array = bayes.decompress(data)                         # the same bits on every machine

``docs/bayes.md`` explains the method (Yang, Bamler, Mandt, "Variable-Bitrate Neural Compression via Bayesian
Arithmetic Coding", ICML 2020), ``docs/array-format.md`` specifies the files. ``grid`` and ``search`` are the method
itself and need NumPy alone; ``priors`` says where code points lie, ``frequencies`` and ``coding`` what their symbols
cost. What needs the entropy coder is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from glissando.bayes.grid import count_depths, depth_of, depth_rates, positions, reconstruct, symbol_depths
from glissando.bayes.posterior import Posterior, from_samples
from glissando.bayes.priors import CdfTable
from glissando.bayes.search import search

if TYPE_CHECKING:
    from glissando.bayes.api import (
        ArrayInfo,
        Quantised,
        compress,
        compress_arrays,
        decompress,
        decompress_arrays,
        probe_arrays,
        quantise,
    )

__all__ = [
    "ArrayInfo",
    "CdfTable",
    "Posterior",
    "Quantised",
    "compress",
    "compress_arrays",
    "count_depths",
    "decompress",
    "decompress_arrays",
    "depth_of",
    "depth_rates",
    "from_samples",
    "positions",
    "probe_arrays",
    "quantise",
    "reconstruct",
    "search",
    "symbol_depths",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module("glissando.bayes.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
