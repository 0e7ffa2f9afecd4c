"""The results of `glissando bench`, as the studies read them: curves of means, and the figures with limits.

glissando bench kodak --out report        # writes report/results.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glissando.bench.curves import bd_row, mean_curve
from glissando.bench.published import is_kodak
from glissando.bench.results import BDRow, CodecInfo, ModelInfo, Results
from glissando.bench.summary import against, summarise
from glissando.codec.exact import TOP
from glissando.errors import BenchmarkError

from .claim import Claim, not_measured
from .data import KODAK_COUNT, Picture

__all__ = [
    "FOR_PSNR",
    "SPEED_PIXELS",
    "claims",
    "codec_of_model",
    "curve",
    "latents_curve",
    "matching",
    "our_codec",
    "quality_claims",
    "read_comparison",
]

SPEED_PIXELS = 768 * 512
"""Pixels of a Kodak picture, for which speeds are stated."""
OWN_SPEED_ANCHOR = "avif"

PUBLISHED_LIMITS: dict[str, tuple[float | None, float | None]] = {
    "JPEG": (-52.0, -64.0),
    "JPEG2000": (-12.0, -30.0),
    "BPG-444-x265-ycbcr": (4.0, -8.0),
    "WebP": (None, None),
    "AV1": (None, None),
    "VTM": (None, 20.0),
}
"""Bar and aim, in percent, of the BD-rate by PSNR of the model for PSNR against each published curve."""


@dataclass(frozen=True)
class Limit:
    """Bar and aim, in percent, of a BD-rate by a metric against a codec of the same run; None where it is stated."""

    metric: str
    peer: str
    bar: float | None = None
    aim: float | None = None


FOR_PSNR, FOR_THE_EYE = "medium-psnr", "medium"
PEER_LIMITS: dict[str, tuple[Limit, ...]] = {
    FOR_PSNR: (
        Limit("psnr", "avif-psnr", -4.0, -15.0),
        Limit("psnr", "avif-psnr-slow"),
        Limit("psnr", "avif"),
        Limit("psnr", "heic-psnr"),
        Limit("psnr", "jxl-best"),
        Limit("psnr", "webp-sharp"),
        Limit("psnr", "webp-best"),
        Limit("psnr", "jpeg-best"),
        Limit("psnr", "jpeg"),
    ),
    FOR_THE_EYE: (
        Limit("ssimulacra2", "avif", -18.0, -30.0),
        Limit("ssimulacra2", "jxl", -25.0, -40.0),
        Limit("ssimulacra2", "jxl-best", -25.0, -40.0),
        Limit("ssimulacra2", "avif-slow"),
        Limit("ssimulacra2", "heic"),
        Limit("ssimulacra2", "webp-sharp"),
        Limit("ssimulacra2", "webp-best"),
        Limit("ssimulacra2", "jpeg-best"),
        Limit("ssimulacra2", "jpeg"),
        Limit("ms-ssim", "avif", -4.0, -15.0),
        Limit("psnr-hvs-m", "avif", 2.0, -10.0),
        Limit("psnr", f"glissando:{FOR_PSNR}", 12.0, 6.0),
        Limit("psnr", "avif"),
    ),
}
"""What each shipped model is measured by: its own metric, and others that it was not trained for.

Like is compared with like: PSNR with AVIF tuned for it, which needs 8 % fewer bits at equal PSNR than AVIF as it comes,
and what people see with AVIF as it comes, tuned for SSIMULACRA 2. Other models have the limits of the one for PSNR.
"""
EXPECTED: dict[str, float | None] = {"jpeg": -12.0, "avif": -50.0, "webp": None}
"""Where codecs of the same run are known to stand against published JPEG: checks of the measurement itself."""


def read_comparison(path: Path) -> Results:
    """Raises BenchmarkError where the file holds something else, OSError where it cannot be read."""
    return Results.from_json(path.read_text(encoding="utf-8"))


def our_codec(results: Results, name: str) -> tuple[CodecInfo, ModelInfo]:
    """A model of this package that took part. Raises BenchmarkError where it did not."""
    for codec in results.codecs:
        if codec.name == name and codec.model is not None:
            return codec, codec.model
    found = ", ".join(codec.name for codec in results.codecs if codec.model is not None) or "none"
    raise BenchmarkError(f"{name} is no model that took part in the comparison; there are: {found}")


def codec_of_model(results: Results, model_hash: str) -> CodecInfo:
    """The codec that used the model with this hash. Raises BenchmarkError where none did."""
    for codec in results.codecs:
        if codec.model is not None and codec.model.hash == model_hash:
            return codec
    compared = ", ".join(f"{c.model.name} {c.model.hash}" for c in results.codecs if c.model is not None)
    raise BenchmarkError(f"the comparison is of other weights ({compared or 'no model'}), not of {model_hash}")


def matching(results: Results, pictures: Sequence[Picture]) -> None:
    """Raises BenchmarkError where the comparison is of other pictures than these."""
    compared = sorted((p.name.rpartition(".")[0] or p.name) for p in results.pictures)
    if compared != sorted(picture.name for picture in pictures):
        raise BenchmarkError(
            f"the comparison is of {len(compared)} other pictures than the {len(pictures)} of this study"
        )


def curve(results: Results, codec: str, metrics: Sequence[str]) -> list[dict[str, float]]:
    """Means over all pictures, by rising rate: ``{"quality": setting, "bpp": …, metric: …}`` of each setting.

    Raises BenchmarkError where the codec has no such curve.
    """
    rows: dict[float, dict[str, float]] = {}
    for metric in metrics:
        for mean in mean_curve(results.points, codec, metric):
            rows.setdefault(mean.setting, {"quality": mean.setting, "bpp": mean.bpp})[metric] = mean.score
    whole = [row for row in rows.values() if all(metric in row for metric in metrics)]
    if not whole:
        raise BenchmarkError(f"the comparison has no points of {codec} by {' and '.join(metrics)}")
    return sorted(whole, key=lambda row: row["bpp"])


def latents_curve(results: Results, codec: str, metrics: Sequence[str]) -> list[dict[str, float]]:
    """The part of a model's curve below the qualities at which files have corrections beside their latents."""
    return [row for row in curve(results, codec, metrics) if row["quality"] < TOP]


def claims(results: Results, codec: str) -> list[Claim]:
    """BD-rates, range of rates and speed of one of our models, beside their limits. Raises BenchmarkError."""
    info, model = our_codec(results, codec)
    return [*quality_claims(results, codec), *_expected_claims(results), *_speed_claims(results, info, model)]


def quality_claims(results: Results, codec: str) -> list[Claim]:
    """BD-rates and range of rates of one of our models. Raises BenchmarkError."""
    info, _ = our_codec(results, codec)
    name = codec.removeprefix("glissando:")
    published = [] if name == FOR_THE_EYE else _published_claims(results, info)
    limits = PEER_LIMITS.get(name, PEER_LIMITS[FOR_PSNR])
    return [*published, *_peer_claims(results, info, limits), *_rate_claims(results, info)]


def _subset_note(results: Results) -> str:
    if is_kodak(results.pictures):
        return ""
    return f"{len(results.pictures)} pictures against a curve of {KODAK_COUNT}: not comparable"


def _bd_claim(what: str, row: BDRow, note: str = "", unit: str = "dB", **limits: Any) -> Claim:
    where = row.reason if row.low is None or row.high is None else f"{row.low:.1f}…{row.high:.1f} {unit}".rstrip()
    words = "; ".join(part for part in (where, note) if part)
    return Claim(what, row.percent, signed=True, note=words, **limits)


def _means(results: Results, codec: str) -> list[tuple[float, float]]:
    return [(mean.bpp, mean.score) for mean in mean_curve(results.points, codec, "psnr")]


def _against_published(results: Results, codec: str, name: str) -> BDRow | None:
    """BD-rate by PSNR against a published curve; None where the results do not have it."""
    for published in results.published:
        if published.name == name and "psnr" in published.points:
            anchor = [(bpp, score) for bpp, score in published.points["psnr"]]
            return bd_row(codec, "psnr", "", f"published {name}", anchor, _means(results, codec))
    return None


def _published_claims(results: Results, info: CodecInfo) -> list[Claim]:
    found = []
    for name, (bar, aim) in PUBLISHED_LIMITS.items():
        what = f"BD-rate against published {name}"
        row = _against_published(results, info.name, name)
        if row is None:
            found.append(not_measured(what, "not among the published curves"))
        else:
            found.append(_bd_claim(what, row, _subset_note(results), bar=bar, aim=aim))
    return found


def _peer_claims(results: Results, info: CodecInfo, limits: Sequence[Limit]) -> list[Claim]:
    labels = {codec.name: codec.label for codec in results.codecs}
    metrics = {metric.name: metric.label for metric in results.metrics}
    found = []
    for limit in limits:
        what = f"BD-rate by {metrics.get(limit.metric, limit.metric)} against {labels.get(limit.peer, limit.peer)}"
        if limit.peer not in labels and limit.bar is None:
            continue  # what has no bar is told where it was measured
        if limit.peer not in labels:
            found.append(not_measured(what, _why_missing(results, limit.peer)))
        elif limit.metric not in metrics:
            found.append(not_measured(what, "the comparison was made without this metric"))
        else:
            unit = next(metric.unit for metric in results.metrics if metric.name == limit.metric)
            row = against(results, info.name, limit.peer, limit.metric)
            found.append(_bd_claim(what, row, unit=unit, bar=limit.bar, aim=limit.aim))
    return found


def _why_missing(results: Results, codec: str) -> str:
    return next((missing.reason for missing in results.missing if missing.name == codec), "it did not take part")


def _rate_claims(results: Results, info: CodecInfo) -> list[Claim]:
    rows = curve(results, info.name, ["psnr"])
    first, last = rows[0], rows[-1]
    pictures = "Kodak mean rate" if is_kodak(results.pictures) else f"mean rate of {len(results.pictures)} pictures"
    low, high = (f"{pictures} at quality {row['quality']:g}" for row in (first, last))
    return [
        Claim(low, first["bpp"], "bpp", bar=0.08, digits=3, note=f"{first['psnr']:.2f} dB"),
        Claim(high, last["bpp"], "bpp", bar=1.8, higher_is_better=True, digits=3, note=f"{last['psnr']:.2f} dB"),
    ]


def _expected_claims(results: Results) -> list[Claim]:
    labels = {codec.name: codec.label for codec in results.codecs}
    found = []
    for peer, percent in EXPECTED.items():
        row = _against_published(results, peer, "JPEG") if peer in labels else None
        if row is not None:
            expected = percent if is_kodak(results.pictures) else None
            what = f"check: BD-rate of {labels[peer]} against published JPEG"
            found.append(_bd_claim(what, row, _subset_note(results), expected=expected))
    return found


def _speed_claims(results: Results, info: CodecInfo, model: ModelInfo) -> list[Claim]:
    """Share of the machine's multiply-adds, pictures per second, and ratios to AVIF, near 0.5 bpp."""
    rows = {row.codec.name: row for row in summarise(results)}
    ours, avif = rows[info.name], rows.get(OWN_SPEED_ANCHOR)
    if ours.encode_mpx_s is None or ours.decode_mpx_s is None:
        return [not_measured("speed", "the comparison was made without it")]
    fast = results.machine.fast_bf16 or results.machine.fast_int8
    bar, aim = (15.0, 30.0) if fast else (6.0, 12.0)
    limits = f"limits for processors {'with' if fast else 'without'} fast bf16 or int8"
    vectors = ", ".join(results.machine.extensions) or "unknown vector extensions"
    found = []
    for name, speed, kmac in (
        ("encode", ours.encode_mpx_s, model.encode_kmac_per_pixel),
        ("decode", ours.decode_mpx_s, model.decode_kmac_per_pixel),
    ):
        what = f"{name}: multiply-adds per second, share of a matrix product's"
        if results.matrix_product_gmac_s is None:
            found.append(not_measured(what, "no matrix product was timed"))
        else:
            reached, possible = kmac * speed, results.matrix_product_gmac_s  # 10³ · 10⁶ = 10⁹ multiply-adds a second
            found.append(
                Claim(
                    what,
                    100.0 * reached / possible,
                    bar=45.0,
                    aim=100.0 if fast else 70.0,
                    higher_is_better=True,
                    note=f"{reached:.1f} of {possible:.1f} GMAC/s, {kmac:.2f} kMAC/pixel; {results.threads} threads",
                )
            )
        pictures = 1e6 * speed / SPEED_PIXELS
        note = f"{1e3 / pictures:.1f} ms; {vectors}; {limits}"
        what = f"{name}: pictures of 768x512 per second"
        found.append(Claim(what, pictures, "/s", bar, aim, higher_is_better=True, note=note))
    for name, own, theirs in (
        ("encode", ours.encode_mpx_s, avif and avif.encode_mpx_s),
        ("decode", ours.decode_mpx_s, avif and avif.decode_mpx_s),
    ):
        what = f"{name}: speed as a multiple of {avif.codec.label if avif else OWN_SPEED_ANCHOR}'s"
        if not theirs:
            found.append(not_measured(what, _why_missing(results, OWN_SPEED_ANCHOR)))
            continue
        wish = 1.0 if name == "encode" else None
        note = f"that is {1e-3 * SPEED_PIXELS / theirs:.1f} ms for a picture of 768x512"
        found.append(Claim(what, own / theirs, "x", None, wish, True, digits=2, note=note))
    return found
