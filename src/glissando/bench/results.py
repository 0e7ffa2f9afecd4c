"""What a comparison yields: plain records, written as JSON and read back, and all that the report is drawn from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from glissando.errors import BenchmarkError
from glissando.machine import Machine

__all__ = [
    "BDRow",
    "CodecInfo",
    "Comparison",
    "Crop",
    "Failure",
    "Memory",
    "Metric",
    "Missing",
    "ModelInfo",
    "PictureInfo",
    "Point",
    "PublishedCurve",
    "Results",
    "Timing",
]

FORMAT = 2
"""Version of the JSON."""


@dataclass(frozen=True)
class Metric:
    """A measure of quality; larger is better for all that we use."""

    name: str  # as on the command line: "psnr"
    label: str  # as on an axis: "PSNR, RGB"
    unit: str  # "dB", or "" where it has none
    source: str  # library and version, or where it is defined


@dataclass(frozen=True)
class ModelInfo:
    """The model of this package that a codec uses, as its card describes it."""

    name: str
    hash: str  # identifies the weights that a file is decoded with
    parameters: int
    encode_kmac_per_pixel: float  # thousands of multiply-adds for each pixel of the picture
    decode_kmac_per_pixel: float


@dataclass(frozen=True)
class CodecInfo:
    """A codec that took part."""

    name: str  # as on the command line: "avif", "glissando:medium"
    label: str  # for people: "AVIF 4:4:4, speed 6"
    version: str  # library and version
    ours: bool  # whether it is a model of this package
    threads: str  # what it was allowed: "2", or "1 (cannot use more)"
    tuned_for: str = ""  # the measure of quality that its encoder makes its choices by
    model: ModelInfo | None = None  # None for the codecs of others


@dataclass(frozen=True)
class Missing:
    """A codec or a metric that could not take part, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class PictureInfo:
    """A picture that was measured. ``sha256`` of its RGB samples, 16 hex digits."""

    name: str
    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Point:
    """One picture by one codec at one setting: bytes of the whole file, quality of the decoded 8-bit pixels."""

    codec: str
    picture: str
    setting: float
    bytes: int
    bpp: float
    scores: dict[str, float]  # by metric; one that cannot be had of this picture is absent


@dataclass(frozen=True)
class Failure:
    """What went wrong with a picture, or with one codec on it at one setting; the rest went on."""

    picture: str
    message: str
    codec: str = ""
    setting: float | None = None


@dataclass(frozen=True)
class Timing:
    """Median seconds of one codec on one size of picture, warm, taken in turn with the others."""

    codec: str
    megapixels: float
    setting: float
    bpp: float
    encode_s: float
    decode_s: float
    rounds: int


@dataclass(frozen=True)
class Memory:
    """Largest resident memory of a fresh process that encodes or decodes one picture, beyond what it held before."""

    codec: str
    megapixels: float
    encode_mb: float
    decode_mb: float


@dataclass(frozen=True)
class BDRow:
    """BD-rate of a codec against the anchor: percent of bits at equal quality, negative where it needs fewer."""

    codec: str
    metric: str
    picture: str  # "" for the curve of means over all pictures
    percent: float | None  # None where it was refused: see ``reason``
    low: float | None  # overlap of the two curves, in the metric's unit
    high: float | None
    reason: str = ""


@dataclass(frozen=True)
class PublishedCurve:
    """A curve of someone else's measurement, overlaid on ours: points of (bpp, score) by metric."""

    name: str
    points: dict[str, list[list[float]]]
    source: str


@dataclass(frozen=True)
class Crop:
    """A region where two decoded pictures differ much, in pixels of the picture."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Comparison:
    """Two codecs on one picture at the same file size; the pictures are PNG files beside the JSON."""

    picture: str
    ours: str
    peer: str
    ours_setting: float
    peer_setting: float
    ours_bytes: int
    peer_bytes: int
    ours_scores: dict[str, float]
    peer_scores: dict[str, float]
    original_png: str  # file names, relative to the report's folder
    ours_png: str
    peer_png: str
    crops: list[Crop]


@dataclass(frozen=True)
class Results:
    """Everything that a comparison yields."""

    version: str  # of glissando
    date: str  # ISO, UTC
    command: str
    machine: Machine
    threads: int
    anchor: str  # a codec's name
    bd_method: str
    metrics: list[Metric]
    codecs: list[CodecInfo]
    missing: list[Missing]
    pictures: list[PictureInfo]
    points: list[Point]
    bd: list[BDRow]
    timings: list[Timing] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    matrix_product_gmac_s: float | None = None  # 10⁹ multiply-adds per second of a matrix product, timed beside codecs
    published: list[PublishedCurve] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0  # the whole run
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Raises BenchmarkError where the text is not what ``to_json`` writes."""
        try:
            values = json.loads(text)
            if values.get("format") != FORMAT:
                raise BenchmarkError(f"results of format {values.get('format')!r}; this version reads {FORMAT}")
            result: Results = _build(cls, values)
            return result
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BenchmarkError(f"these are no results of a comparison: {error}") from error


def _build(kind: Any, values: Any) -> Any:
    """A record, or a list of them, from what JSON holds."""
    if isinstance(kind, UnionType):  # "a record or None"
        return None if values is None else _build(get_args(kind)[0], values)
    if isinstance(values, list) and (inner := get_args(kind)):
        items = [_build(inner[0], value) for value in values]
        return tuple(items) if get_origin(kind) is tuple else items
    if hasattr(kind, "__dataclass_fields__"):
        hints = get_type_hints(kind)
        return kind(**{key: _build(hints[key], value) for key, value in values.items()})
    return values
