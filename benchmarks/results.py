"""Writes a comparison's figures into docs/results.md and, shorter, into the README.

python -m benchmarks.results REPORT/results.json docs/results.md README.md

Both files keep what stands outside the two markers; see BEGIN and END.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from glissando.bench.results import BDRow, Results
from glissando.bench.summary import HEADLINE_MEGAPIXELS, SummaryRow, summarise
from glissando.errors import BenchmarkError
from glissando.files import atomic_write

from .readme import replace_between

__all__ = ["BEGIN", "END", "full", "main", "short"]

BEGIN = "<!-- comparison:begin -->"
END = "<!-- comparison:end -->"


def short(results: Results) -> str:
    """One table: BD-rates and speeds."""
    head = ["codec", *(f"BD-rate, {m.label}" for m in results.metrics), "encode", "decode"]
    body = [
        [_label(row), *(_percent(row.bd.get(m.name)) for m in results.metrics), _speed(row, 0), _speed(row, 1)]
        for row in summarise(results)
    ]
    return "\n\n".join(
        [
            _table(head, body),
            f"BD-rate against {_name(results, results.anchor)}: bits at equal quality, negative where fewer. Speed in "
            f"megapixels per second on {_pixels(HEADLINE_MEGAPIXELS)} pictures and, in brackets, over the anchor's. "
            + _where(results),
        ]
    )


def full(results: Results) -> str:
    """Every figure that is a mean over the pictures, with what it was measured by."""
    rows = summarise(results)
    parts = [f"    {results.command}", _where(results), "## Bits at equal quality"]
    parts.append(
        f"BD-rate against {_name(results, results.anchor)} ({results.bd_method}), on the curve of means over "
        f"{len(results.pictures)} pictures; below it, the range of scores that both curves cover."
    )
    parts.append(
        _table(
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
            _table(
                ["codec", "picture", "encode", "decode"],
                [
                    [_name(results, m.codec), _pixels(m.megapixels), f"{m.encode_mb:.0f}", f"{m.decode_mb:.0f}"]
                    for m in results.memory
                ],
            ),
        ]
    parts += ["## Measured with"]
    parts.append("\n".join(f"- {c.label} (`{c.name}`): {c.version}; threads: {c.threads}" for c in results.codecs))
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
    return words + "\n\n" + _table(["codec", *map(_pixels, sizes)], body)


def _where(results: Results) -> str:
    machine = results.machine
    return (
        f"{results.date[:10]}, glissando {results.version}, {len(results.pictures)} pictures, "
        f"{machine.processor} ({', '.join(machine.extensions)}), {results.threads} threads."
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


def _speed(row: SummaryRow, which: int) -> str:
    speed = (row.encode_mpx_s, row.decode_mpx_s)[which]
    ratio = (row.encode_ratio, row.decode_ratio)[which]
    if speed is None:
        return "—"
    return f"{speed:.1f}" + ("" if ratio is None else f" ({ratio:.2f}×)")


def _pixels(megapixels: float) -> str:
    return f"{megapixels:g} MP"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), "|---|" + "---:|" * (len(head) - 1), *map(line, body)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where all files were written."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description="Write a comparison's figures.")
    parser.add_argument("results", type=Path, help="results.json of `glissando bench`")
    parser.add_argument("page", type=Path, help="Markdown file for all figures, with the two markers")
    parser.add_argument("readme", type=Path, help="Markdown file for the short table, with the two markers")
    given = parser.parse_args(arguments)
    try:
        results = Results.from_json(given.results.read_text(encoding="utf-8"))
        texts = {
            path: replace_between(path.read_text(encoding="utf-8"), BEGIN, END, text)
            for path, text in ((given.page, full(results)), (given.readme, short(results)))
        }
    except (OSError, BenchmarkError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    for path, text in texts.items():
        atomic_write(path, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
