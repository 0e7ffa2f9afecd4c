"""Writes the figures of one set of weights into the README, and all figures of the comparison into docs/results.md.

    glissando bench kodak --metrics psnr,psnr-y,ms-ssim,ssimulacra2 --out report
    python -m benchmarks.checks --json checks.json
    python -m benchmarks.readme report/results.json checks.json README.md docs/results.md

Both sources must be of the same weights, and these the ones that are installed: no document can show the figures of
older ones. Three blocks of text are known by the markers around them, ``<!-- NAME:begin -->`` and
``<!-- NAME:end -->``; each document has at least one of them, and keeps what stands outside.

- **kodak**: every figure beside its bar and its aim, and the model's own curve;
- **comparison**: BD-rates and speeds of all codecs, one row each;
- **results**: everything of the comparison that is a mean over the pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glissando import zoo
from glissando.bench.results import BDRow, ModelInfo, Results
from glissando.bench.summary import HEADLINE_MEGAPIXELS, SummaryRow, summarise
from glissando.errors import BenchmarkError, GlissandoError

from .claim import Claim, claims_table
from .comparison import FOR_PSNR, claims, curve, our_codec, quality_claims, read_comparison
from .documents import table, update_blocks

__all__ = ["blocks", "main"]


def blocks(results: Results, checks: dict[str, Any], codec: str) -> dict[str, str]:
    """The text of each block, by its name. Raises BenchmarkError where the two sources are of different weights."""
    _, model = our_codec(results, codec)
    checked = (checks.get("model") or {}).get("hash")
    if checked != model.hash:
        raise BenchmarkError(
            f"the comparison is of model {model.hash}, the checks are of {checked}: measure both anew with one model"
        )
    return {
        "kodak": kodak_block(results, checks, codec, model),
        "comparison": comparison_block(results),
        "results": results_block(results),
    }


def kodak_block(results: Results, checks: dict[str, Any], codec: str, model: ModelInfo) -> str:
    """Figures with limits, the model's curve, and where all of it was measured."""
    checked = [Claim.from_json(claim) for claim in checks["claims"]]
    psnr = f"glissando:{FOR_PSNR}"
    of_psnr = quality_claims(results, psnr) if codec != psnr and any(c.name == psnr for c in results.codecs) else []
    rows = curve(results, codec, [metric.name for metric in results.metrics])
    head = ["quality", "bpp", *(f"{m.label}{f', {m.unit}' if m.unit else ''}" for m in results.metrics)]
    body = [
        [f"{row['quality']:g}", f"{row['bpp']:.3f}", *(f"{row[metric.name]:.2f}" for metric in results.metrics)]
        for row in rows
    ]
    versions = ", ".join(f"{name} {version}" for name, version in checks["versions"].items())
    return "\n\n".join(
        [
            claims_table([*claims(results, codec), *checked]),
            *([f"`{FOR_PSNR}`, by squared error:", claims_table(of_psnr)] if of_psnr else []),
            f"`{model.name}` over its range:",
            table(head, body),
            f"Model {model.name} ({model.hash}): {model.parameters / 1e6:.2f} M parameters, "
            f"{model.encode_kmac_per_pixel:.2f} kMAC/pixel to encode, "
            f"{model.decode_kmac_per_pixel:.2f} kMAC/pixel to decode. BD-rates: {results.bd_method}. "
            f"Comparison: {_where(results)} Checks: {checks['date']}, {checks['pictures']} pictures. "
            f"Python {checks['machine']['python']}, {versions}.",
        ]
    )


def comparison_block(results: Results) -> str:
    """One table: BD-rates and speeds, and what each codec is tuned for."""
    head = ["codec", "tuned for", *(f"BD-rate, {m.label}" for m in results.metrics), "encode", "decode"]
    body = [
        [
            _label(row),
            row.codec.tuned_for or "—",
            *(_percent(row.bd.get(m.name)) for m in results.metrics),
            _speed(row.encode_mpx_s, row.encode_ratio),
            _speed(row.decode_mpx_s, row.decode_ratio),
        ]
        for row in summarise(results)
    ]
    versions = dict.fromkeys(codec.version for codec in results.codecs if not codec.ours)
    models = ", ".join(f"{c.model.name} {c.model.hash}" for c in results.codecs if c.model is not None)
    return "\n\n".join(
        [
            table(head, body),
            f"BD-rate against {_name(results, results.anchor)}: bits at equal quality, negative where fewer. Speed in "
            f"megapixels per second on {_pixels(HEADLINE_MEGAPIXELS)} pictures and, in brackets, over the anchor's. "
            f"{_where(results)} {'; '.join(versions)}." + (f" Models: {models}." if models else ""),
        ]
    )


def results_block(results: Results) -> str:
    """Every figure that is a mean over the pictures, with what it was measured by."""
    rows = summarise(results)
    parts = [f"    {results.command}", _where(results), "## Bits at equal quality"]
    parts.append(
        f"BD-rate against {_name(results, results.anchor)} ({results.bd_method}), on the curve of means over "
        f"{len(results.pictures)} pictures; below it, the range of scores that both curves cover."
    )
    parts.append(
        table(
            ["codec", *(m.label for m in results.metrics)],
            [[_label(row), *(_with_range(row.bd.get(m.name)) for m in results.metrics)] for row in rows],
        )
    )
    refused = [
        f"- {_name(results, b.codec)}, {b.metric}: {b.reason}"
        for b in results.bd
        if b.percent is None and not b.picture
    ]
    parts += ["Refused:", "\n".join(refused)] if refused else []
    if results.timings:
        parts += ["## Time", _times(results)]
    if results.memory:
        parts += [
            "## Memory",
            "Largest resident memory of a fresh process that codes one picture, beyond what it held before, MB.",
            table(
                ["codec", "picture", "encode", "decode"],
                [
                    [_name(results, m.codec), _pixels(m.megapixels), f"{m.encode_mb:.0f}", f"{m.decode_mb:.0f}"]
                    for m in results.memory
                ],
            ),
        ]
    parts += ["## Measured with"]
    parts.append(
        "\n".join(
            f"- {c.label} (`{c.name}`): {c.version}; {f'tuned for {c.tuned_for}; ' if c.tuned_for else ''}"
            f"threads: {c.threads}"
            for c in results.codecs
        )
    )
    parts.append("\n".join(f"- {m.label}{f', {m.unit}' if m.unit else ''}: {m.source}" for m in results.metrics))
    if results.missing:
        parts += ["Not measured:", "\n".join(f"- {m.name}: {m.reason}" for m in results.missing)]
    if results.failures:
        failed = [
            f"- {f.codec or f.picture}{'' if f.setting is None else f' at {f.setting:g}'}: {f.message}"
            for f in results.failures
        ]
        parts += ["Failed:", "\n".join(failed)]
    return "\n\n".join(parts)


def _times(results: Results) -> str:
    """Time as pictures grow: one row per codec, one column per size."""
    sizes = sorted({t.megapixels for t in results.timings})
    found = {(t.codec, t.megapixels): t for t in results.timings}
    body = []
    for codec in results.codecs:
        cells = [
            f"{1e3 * t.encode_s:.0f} / {1e3 * t.decode_s:.0f}" if (t := found.get((codec.name, size))) else "—"
            for size in sizes
        ]
        body.append([codec.label, *cells])
    rounds = min(t.rounds for t in results.timings)
    words = (
        "Milliseconds to encode / to decode one picture near 0.5 bpp, median of at least "
        f"{rounds} rounds, all codecs in turn; {results.threads} threads, where a codec can use them."
    )
    return words + "\n\n" + table(["codec", *map(_pixels, sizes)], body)


def _where(results: Results) -> str:
    return (
        f"{results.date[:10]}, glissando {results.version}, {len(results.pictures)} pictures, "
        f"{results.machine.described}, {results.threads} threads."
    )


def _name(results: Results, codec: str) -> str:
    return next((c.label for c in results.codecs if c.name == codec), codec)


def _label(row: SummaryRow) -> str:
    return f"**{row.codec.label}**" if row.codec.ours else row.codec.label


def _percent(row: BDRow | None) -> str:
    return "—" if row is None or row.percent is None else f"{row.percent:+.1f} %"


def _with_range(row: BDRow | None) -> str:
    if row is None or row.low is None or row.high is None:
        return _percent(row)
    return f"{_percent(row)} ({row.low:.1f} … {row.high:.1f})"


def _speed(megapixels_per_second: float | None, ratio: float | None) -> str:
    if megapixels_per_second is None:
        return "—"
    return f"{megapixels_per_second:.1f}" + ("" if ratio is None else f" ({ratio:.2f}×)")


def _pixels(megapixels: float) -> str:
    return f"{megapixels:g} MP"


def check_installed(results: Results, codec: str) -> None:
    """Raises BenchmarkError where the results are of other weights than the installed ones; ModelError without any."""
    _, measured = our_codec(results, codec)
    installed = str(zoo.find(codec.removeprefix("glissando:")).card.hash)
    if installed != measured.hash:
        raise BenchmarkError(f"the results are of model {measured.hash}, but the installed one is {installed}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where all documents were written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.readme", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="results.json of `glissando bench`")
    parser.add_argument("checks", type=Path, help="what `python -m benchmarks.checks --json` wrote")
    parser.add_argument("documents", type=Path, nargs="+", help="Markdown files with the markers of at least one block")
    parser.add_argument("--codec", default="glissando:medium", help="the model (default: glissando:medium)")
    given = parser.parse_args(arguments)
    try:
        results = read_comparison(given.results)
        checks = json.loads(given.checks.read_text(encoding="utf-8"))
        check_installed(results, given.codec)
        update_blocks(given.documents, blocks(results, checks, given.codec))
    except (OSError, ValueError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except (KeyError, TypeError, AttributeError) as error:
        print(f"{parser.prog}: {given.checks} does not hold checks: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
