"""The figures that the project set itself: each with its bar (must reach) and its aim (wants to reach)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from glissando.bench.bdrate import METHOD, Curve, bd_rate
from glissando.bench.machine import Machine

from .api import BenchmarkError
from .data import KODAK_COUNT
from .determinism import Comparison
from .footprint import Cold, Size
from .peers import AVIF, JPEG, WEBP
from .rd import Continuity, Means, Overhead
from .speed import Speed

__all__ = [
    "Measure",
    "cold_measures",
    "continuity_measures",
    "determinism_measures",
    "not_measured",
    "peer_measures",
    "rate_measures",
    "size_measures",
    "speed_measures",
]

_OURS = "Glissando"


@dataclass(frozen=True)
class Measure:
    """One figure beside its bar and its aim; all three in `unit`."""

    what: str
    value: float | None
    unit: str = "%"
    bar: float | None = None
    aim: float | None = None
    higher_is_better: bool = False
    digits: int = 1
    signed: bool = False
    note: str = ""
    expected: float | None = None
    """Where the figure only checks the measurement itself: what it is known to be."""

    def text(self, value: float | None) -> str:
        """The value with its unit, or "n/a"."""
        if value is None:
            return "n/a"
        sign = "+" if self.signed else ""
        number = f"{value:{sign}.{self.digits}f}"
        return f"{number} {self.unit}".rstrip()

    @property
    def verdict(self) -> str:
        """ "meets aim", "meets bar", "short", "stated" or "not measured"."""
        if self.value is None:
            return "not measured"
        if self.expected is not None:
            return f"expected about {self.text(self.expected)}"
        if self.aim is not None and self._reaches(self.aim):
            return "meets aim"
        if self.bar is not None:
            return "meets bar" if self._reaches(self.bar) else "short"
        return "stated" if self.aim is None else "short of the aim"

    def _reaches(self, limit: float) -> bool:
        assert self.value is not None
        return self.value >= limit if self.higher_is_better else self.value <= limit

    def row(self) -> tuple[str, str, str, str, str, str]:
        """What, measured, bar, aim, verdict, note: as printed."""
        return (
            self.what,
            self.text(self.value),
            self.text(self.bar),
            self.text(self.aim),
            self.verdict,
            self.note,
        )

    def to_json(self) -> dict[str, object]:
        """The figures, and the same as printed."""
        return {**asdict(self), "verdict": self.verdict, "row": list(self.row())}


def not_measured(what: str, reason: str) -> Measure:
    """A figure that could not be had, and why."""
    return Measure(what, None, note=reason)


def _bd(
    what: str,
    anchor: Curve,
    curve: Curve | None,
    bar: float | None = None,
    aim: float | None = None,
    note: str = "",
    expected: float | None = None,
) -> Measure:
    value = None
    try:
        if curve is None:
            raise BenchmarkError("no rising rate-distortion curve")
        result = bd_rate(anchor, curve)
        value, reason = result.percent, f"{result.low:.1f}…{result.high:.1f} dB"
    except BenchmarkError as error:
        reason = str(error)
    words = "; ".join(w for w in (reason, note) if w)
    return Measure(what, value, "%", bar, aim, signed=True, note=words, expected=expected)


def _subset_note(pictures: int) -> str:
    return "" if pictures == KODAK_COUNT else f"{pictures} pictures against a curve of {KODAK_COUNT}: not comparable"


def rate_measures(
    ours: Curve | None,
    curve_problem: str,
    peers: Mapping[str, Curve],
    published: Mapping[str, Curve],
    means: Sequence[Means],
    overhead: Overhead | None,
    pictures: int,
) -> list[Measure]:
    """BD-rates of our curve, the range of rates, and real bytes beside the cross-entropy."""
    note = _subset_note(pictures)
    bars: dict[str, tuple[float | None, float | None]] = {
        "JPEG": (-52.0, -64.0),
        "JPEG2000": (-12.0, -30.0),
        "BPG-444-x265-ycbcr": (12.0, -10.0),
        "WebP": (None, None),
        "AV1": (None, None),
        "VTM": (None, 0.0),
    }
    result = []
    for name, (bar, aim) in bars.items():
        what = f"BD-rate against published {name}"
        if name in published:
            words = "; ".join(w for w in (note, curve_problem) if w)
            result.append(_bd(what, published[name], ours, bar, aim, words))
        else:
            result.append(not_measured(what, "not among the published curves"))
    for peer in (JPEG, WEBP, AVIF):
        what = f"BD-rate against {peer.label}, same run"
        if peer.name in peers:
            below = 0.0 if peer is AVIF else None
            result.append(_bd(what, peers[peer.name], ours, None, below, curve_problem))
        else:
            result.append(not_measured(what, "this Pillow does not have it"))
    if means:
        first, last = means[0], means[-1]
        low, high = (f"Kodak mean rate at quality {m.quality:g}" for m in (first, last))
        result.append(Measure(low, first.bpp, "bpp", bar=0.08, digits=3, note=f"{first.psnr:.2f} dB"))
        result.append(
            Measure(high, last.bpp, "bpp", bar=1.8, higher_is_better=True, digits=3, note=f"{last.psnr:.2f} dB")
        )
    if overhead is None:
        result.append(not_measured("file bytes beyond the model's cross-entropy", "the codec does not tell it"))
    else:
        result += [
            Measure(
                "all file bytes beyond the model's cross-entropy",
                overhead.percent,
                digits=2,
                signed=True,
                note=f"{overhead.bytes_per_file:.1f} bytes a file",
            ),
            Measure(
                "largest file - 1.01 * its cross-entropy",
                overhead.worst_constant,
                "bytes",
                bar=100.0,
                digits=0,
                note=overhead.worst_file,
            ),
        ]
    return result


def peer_measures(peers: Mapping[str, Curve], published: Mapping[str, Curve], pictures: int) -> list[Measure]:
    """Checks of the measurement itself: where Pillow's codecs are known to stand."""
    expected = ((JPEG, -12.0), (AVIF, -50.0), (WEBP, None))
    return [
        _bd(
            f"check: BD-rate of {peer.label} against published JPEG",
            published["JPEG"],
            peers[peer.name],
            note=_subset_note(pictures),
            expected=value if pictures == KODAK_COUNT else None,
        )
        for peer, value in expected
        if peer.name in peers and "JPEG" in published
    ]


def continuity_measures(results: Sequence[Continuity]) -> list[Measure]:
    """How evenly the bytes rise with the quality."""
    worst = max(results, key=lambda r: r.largest_drop)
    note = "the bytes never fall"
    if worst.largest_drop:
        note = f"{worst.picture} after quality {worst.at_quality:g}"
    what = f"largest fall of bytes over quality 0, 0.5 … 100, {len(results)} pictures"
    return [Measure(what, worst.largest_drop, bar=0.5, digits=3, note=note)]


def speed_measures(speed: Speed, machine: Machine) -> list[Measure]:
    """Share of the machine's multiply-adds, pictures per second, and ratios to AVIF, at about 0.5 bpp."""
    at = speed.headline
    where = f"quality {at.quality:g}, {at.bpp:.2f} bpp, {speed.threads} threads"
    where = f"{where}, {speed.backend} {speed.precision}"
    share_aim = 100.0 if machine.native_bf16 else 70.0
    if machine.native_bf16:
        bar, aim, kind = 15.0, 30.0, "limits for native bf16"
    else:
        bar, aim, kind = 6.0, 12.0, "limits for processors without native bf16"
    vectors = ", ".join(machine.extensions) or "unknown vector extensions"
    result = []
    for name, seconds, share, kmac in (
        ("encode", at.encode_s, at.encode_share, speed.encode_kmac_per_pixel),
        ("decode", at.decode_s, at.decode_share, speed.decode_kmac_per_pixel),
    ):
        gmac = speed.matmul_gmac_per_s
        result.append(
            Measure(
                f"{name}: multiply-adds per second, share of a matrix product's",
                100.0 * share,
                bar=45.0,
                aim=share_aim,
                higher_is_better=True,
                note=f"{share * gmac:.1f} of {gmac:.1f} GMAC/s, {kmac:.2f} kMAC/pixel; {where}",
            )
        )
        what, note = f"{name}: pictures of 768x512 per second", f"{1e3 * seconds:.1f} ms; {vectors}; {kind}"
        result.append(Measure(what, 1.0 / seconds, "/s", bar, aim, higher_is_better=True, note=note))
    for name, ours, theirs in (
        ("encode", at.encode_s, at.avif_encode_s),
        ("decode", at.decode_s, at.avif_decode_s),
    ):
        what = f"{name}: speed as a multiple of Pillow AVIF's (speed 6)"
        if theirs is None:
            result.append(not_measured(what, "this Pillow has no AVIF"))
            continue
        note = f"AVIF {1e3 * theirs:.1f} ms at {at.avif_bpp or 0.0:.2f} bpp (its quality {at.avif_quality})"
        wish = 1.0 if name == "encode" else None
        result.append(Measure(what, theirs / ours, "x", None, wish, True, digits=2, note=note))
    return result


def cold_measures(cold: Cold) -> list[Measure]:
    """A cold start."""
    note = f"median of {len(cold.seconds)}, first {cold.seconds[0]:.2f} s"
    note = f"{note}; {cold.picture} at quality {cold.quality:g}"
    return [
        Measure(
            "`glissando decode` of one picture, cold process",
            cold.median_s,
            "s",
            2.0,
            0.7,
            digits=2,
            note=note,
        )
    ]


def size_measures(size: Size) -> list[Measure]:
    """Room on the disk; 1 MB is 10⁶ bytes."""
    largest = ", ".join(f"{suffix} {count / 1e6:.2f}" for suffix, count in list(size.by_suffix.items())[:3])
    what = "installed package with weights, without dependencies"
    return [Measure(what, size.total / 1e6, "MB", 25.0, 12.0, digits=2, note=largest)]


def determinism_measures(comparisons: Sequence[Comparison]) -> list[Measure]:
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
            result.append(Measure(what, c.largest_psnr_change, "dB", bar, digits=4, note=note))
        else:
            what = f"largest difference of pixels, {pair}"
            result.append(Measure(what, float(c.largest_difference), "levels", 1.0, digits=0, note=note))
    return result


METHOD_WORDS = f"BD-rates: {METHOD} interpolation of log-rate over PSNR, whole overlapping PSNR range"
