"""What effort buys, from a comparison: bits at equal quality and seconds, a table and a plot.

    glissando bench DIR/kodak --codecs avif,glissando:medium,glissando:medium@6,glissando:medium@8,… \
        --metrics psnr,ms-ssim,ssimulacra2 --sizes 0.4 --out report           # models as NAME@EFFORT
    python -m benchmarks.effort_curve report/results.json README.md docs/effort.md --picture docs/effort.svg

Each model's efforts are compared with its default effort, and with the comparison's anchor. A model of which there is
only the default effort is left out.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from glissando.bench.codecs.models import named_effort
from glissando.bench.results import CodecInfo, Results
from glissando.bench.summary import against
from glissando.errors import BenchmarkError, GlissandoError
from glissando.files import atomic_write

from .comparison import read_comparison
from .documents import table, update_blocks

__all__ = ["main", "markdown"]


def ladders(results: Results) -> dict[str, dict[int, CodecInfo]]:
    """The models with more than one effort: each one's codecs by effort. Raises BenchmarkError where there is none."""
    found: dict[str, dict[int, CodecInfo]] = {}
    for codec in results.codecs:
        if codec.model is not None:
            found.setdefault(codec.model.name, {})[named_effort(codec.name)[1]] = codec
    several = {name: dict(sorted(efforts.items())) for name, efforts in found.items() if len(efforts) > 1}
    if not several:
        raise BenchmarkError("no model took part with several efforts, as in glissando:medium,glissando:medium@8")
    return several


def _percent(results: Results, codec: CodecInfo, peer: str, metric: str) -> str:
    if codec.name == peer:
        return "—"
    row = against(results, codec.name, peer, metric)
    return "—" if row.percent is None else f"{row.percent:+.1f} %"


def _seconds(results: Results) -> dict[str, tuple[float, float]]:
    """Seconds to encode the largest size that was timed, and its megapixels, by codec."""
    return {t.codec: (t.encode_s, t.megapixels) for t in sorted(results.timings, key=lambda t: t.megapixels)}


def markdown(results: Results) -> str:
    """One row for each model and effort."""
    seconds = _seconds(results)
    anchor = next(codec for codec in results.codecs if codec.name == results.anchor)
    size = f"{next(iter(seconds.values()))[1]:.1f} MP" if seconds else ""
    own = [f"bits, {metric.label}" for metric in results.metrics]
    theirs = [f"against {anchor.label}, {metric.label}" for metric in results.metrics]
    body = []
    for name, efforts in ladders(results).items():
        default = next(iter(efforts.values())).name
        for effort, codec in efforts.items():
            time = "—"
            if codec.name in seconds:
                ratio = f" ({seconds[codec.name][0] / seconds[anchor.name][0]:.2f}×)" if anchor.name in seconds else ""
                time = f"{seconds[codec.name][0]:.2f}{ratio}"
            metrics = [metric.name for metric in results.metrics]
            body.append(
                [
                    f"{name}, {effort}",
                    time,
                    *(_percent(results, codec, default, metric) for metric in metrics),
                    *(_percent(results, codec, results.anchor, metric) for metric in metrics),
                ]
            )
    head = ["model, effort", f"seconds, {size} (over {anchor.label})", *own, *theirs]
    note = (
        f"Bits at equal quality (BD-rate) against the same model's default effort, and against {anchor.label}; "
        f"{len(results.pictures)} pictures, {results.date[:10]}, {results.machine.described}, "
        f"threads: {results.threads}."
    )
    return table(head, body) + "\n\n" + note


def _drawn(results: Results, metric: str) -> bytes:
    """Time against size: an SVG."""
    from matplotlib.figure import Figure

    seconds, label = _seconds(results), next(m.label for m in results.metrics if m.name == metric)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, efforts in ladders(results).items():
        default = next(iter(efforts.values())).name
        places = [
            (
                seconds[codec.name][0],
                0.0 if codec.name == default else against(results, codec.name, default, metric).percent,
            )
            for codec in efforts.values()
            if codec.name in seconds
        ]
        known = [(time, percent) for time, percent in places if percent is not None]
        axes.plot(*zip(*known, strict=True), marker="o", label=name)
        for (time, percent), effort in zip(known, efforts, strict=False):
            axes.annotate(str(effort), (time, percent), textcoords="offset points", xytext=(5, 5), fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("seconds to encode")
    axes.set_ylabel(f"bits at equal {label}, %")
    axes.grid(alpha=0.3)
    axes.legend()
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where the documents were written, 1 after one line about what went wrong."""
    parser = argparse.ArgumentParser("benchmarks.effort_curve", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("documents", type=Path, nargs="+")
    parser.add_argument("--picture", type=Path, help="the plot, an SVG")
    parser.add_argument("--metric", default="ssimulacra2", help="of the plot")
    given = parser.parse_args(arguments)
    try:
        results = read_comparison(given.results)
        update_blocks(given.documents, {"effort": markdown(results)})
        if given.picture is not None:
            atomic_write(given.picture, _drawn(results, given.metric))
    except (OSError, ValueError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
