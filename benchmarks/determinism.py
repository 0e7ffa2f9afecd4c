"""The same file decoded by different engines, precisions and numbers of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from glissando.bench.metrics import psnr

from .api import Api, Codec, Pixels
from .claim import Claim, not_measured
from .data import Picture

__all__ = ["COMPARISONS", "QUALITIES", "Comparison", "Setting", "compare", "determinism_claims", "measure_determinism"]

QUALITIES = (10.0, 30.0, 50.0, 70.0, 90.0)


@dataclass(frozen=True)
class Setting:
    """How a model is opened."""

    backend: str
    precision: str
    threads: int | None = None

    def __str__(self) -> str:
        threads = "" if self.threads is None else f", {self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.backend} {self.precision}{threads}"


@dataclass(frozen=True)
class Comparison:
    """Pixels of two decoders of the same files; figures are None where one of them is missing."""

    left: str
    right: str
    files: int
    share_differing: float | None
    """Percent of all samples that differ."""
    largest_difference: int | None
    """Levels of 0…255."""
    largest_psnr_change: float | None
    """dB: largest |PSNR(left) - PSNR(right)| against the original, over the files."""
    skipped: str = ""
    """Why it was not measured."""


COMPARISONS: Final = (
    (Setting("openvino", "f32"), Setting("onnxruntime", "f32")),
    (Setting("openvino", "f32", 1), Setting("openvino", "f32", 2)),
    (Setting("openvino", "f32"), Setting("openvino", "auto")),  # bfloat16 where the codec chooses it
    (Setting("openvino", "f32"), Setting("openvino", "bf16")),  # ... and where it would not
)


def compare(left: str, right: str, originals: Sequence[Pixels], a: Sequence[Pixels], b: Sequence[Pixels]) -> Comparison:
    """Compare the pictures `a` with the pictures `b`, decoded from the same files."""
    differing = total = largest = 0
    change = 0.0
    for original, one, other in zip(originals, a, b, strict=True):
        difference = np.abs(one.astype(np.int16) - other.astype(np.int16))
        total += difference.size
        if unequal := int(np.count_nonzero(difference)):
            differing += unequal
            largest = max(largest, int(difference.max()))
            change = max(change, abs(psnr(original, one) - psnr(original, other)))
    return Comparison(left, right, len(originals), 100.0 * differing / max(total, 1), largest, change)


def measure_determinism(
    api: Api,
    model: str,
    pictures: Sequence[Picture],
    errors: tuple[type[Exception], ...],
    tick: Callable[[], None],
) -> list[Comparison]:
    """Encode the pictures once, decode them in every setting, and compare.

    An engine or precision that raises one of `errors` when opened is skipped, with its message.
    """
    encoder = api.open_model(model, backend="auto", precision="auto", threads=None)
    originals = [picture.pixels for picture in pictures for _ in QUALITIES]
    files = [encoder.encode(picture.pixels, quality) for picture in pictures for quality in QUALITIES]
    decoded: dict[Setting, list[Pixels] | str] = {}

    def decode_with(setting: Setting) -> list[Pixels] | str:
        if setting not in decoded:
            try:
                codec: Codec = api.open_model(
                    model, backend=setting.backend, precision=setting.precision, threads=setting.threads
                )
                decoded[setting] = [codec.decode(data) for data in files]
            except errors as error:
                decoded[setting] = f"{setting}: {error}"
        return decoded[setting]

    result = []
    for left, right in COMPARISONS:
        a, b = decode_with(left), decode_with(right)
        if isinstance(a, str) or isinstance(b, str):
            reason = a if isinstance(a, str) else str(b)
            result.append(Comparison(str(left), str(right), 0, None, None, None, reason))
        else:
            result.append(compare(str(left), str(right), originals, a, b))
        tick()
    return result


def determinism_claims(comparisons: Sequence[Comparison]) -> list[Claim]:
    """Pixels across engines: at most 1 level in f32, at most 0.02 dB where the codec chooses bf16."""
    result = []
    for c in comparisons:
        pair = f"{c.left} and {c.right}"
        if c.largest_difference is None or c.largest_psnr_change is None:
            result.append(not_measured(f"pixels of {pair}", c.skipped))
            continue
        note = f"{c.share_differing:.4f} % of samples differ; {c.files} files"
        if "bf16" in pair or "auto" in pair:
            what = f"largest change of PSNR, {pair}"
            note = f"{note}, by at most {c.largest_difference} levels"
            bar = 0.02 if "auto" in pair else None  # bf16 everywhere is not what the codec does unless told to
            result.append(Claim(what, c.largest_psnr_change, "dB", bar, digits=4, note=note))
        else:
            what = f"largest difference of pixels, {pair}"
            result.append(Claim(what, float(c.largest_difference), "levels", 1.0, digits=0, note=note))
    return result
