"""Prints a results file as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["describe", "print_report"]


def describe(results: dict[str, Any]) -> list[str]:
    """Where and when the results were measured: date, machine, model, versions; one line each."""
    machine = results["machine"]
    extensions = ", ".join(machine["extensions"]) or "unknown"
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    lines = [
        f"{results['date']}; {_count(results['pictures'], 'Kodak picture')}",
        f"{machine['processor']} ({extensions}), {_count(results['threads'], 'thread')}, {machine['system']}",
    ]
    if model := results.get("model"):
        lines.append(
            f"model {model['name']} ({str(model['hash'])[:12]}): "
            f"{model['parameters'] / 1e6:.2f} M parameters, "
            f"{model['encode_kmac_per_pixel']:.2f} kMAC/pixel to encode, "
            f"{model['decode_kmac_per_pixel']:.2f} kMAC/pixel to decode"
        )
    return [*lines, f"Python {machine['python']}, {versions}", results["method"]]


def print_report(results: dict[str, Any], console: Console) -> None:
    """Everything in `results` but the raw points."""
    for line in describe(results):
        console.print(line, highlight=False, markup=False)
    for means in results.get("rd", {}).get("means", {}).items():
        console.print(_means_table(*means))
    for rate in (results.get("speed") or {}).get("rates", []):
        console.print(_speed_line(rate), highlight=False, markup=False)
    table = Table("what", title="Measures")
    for heading in ("measured", "bar", "aim"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("note")
    colours = {"meets aim": "green", "meets bar": "yellow", "short": "red"}
    for measure in results["measures"]:
        table.add_row(*measure["row"], style=colours.get(measure["verdict"], ""))
    console.print(table)


def _means_table(codec: str, means: list[dict[str, Any]]) -> Table:
    parts = list(dict.fromkeys(name for m in means for name in m["parts"]))
    ideal = any(m["ideal_bytes"] is not None for m in means)
    table = Table(title=f"{codec}: means over the pictures")
    for heading in (
        "quality",
        "bpp",
        "PSNR, dB",
        "bytes",
        *(["cross-entropy, bytes", "beyond it"] * ideal),
        *parts,
    ):
        table.add_column(heading, justify="right")
    for m in means:
        cells = [f"{m['quality']:g}", f"{m['bpp']:.4f}", f"{m['psnr']:.3f}", f"{m['bytes']:.0f}"]
        if ideal:
            beyond = m["bytes"] - m["ideal_bytes"]
            percent = 100.0 * beyond / m["ideal_bytes"] if m["ideal_bytes"] else 0.0
            cells += [f"{m['ideal_bytes']:.0f}", f"{beyond:+.1f} ({percent:+.2f} %)"]
        table.add_row(*cells, *(f"{m['parts'].get(name, 0.0):.1f}" for name in parts))
    return table


def _speed_line(rate: dict[str, Any]) -> str:
    def part(name: str) -> str:
        seconds, share = rate[f"{name}_s"], rate[f"{name}_share"]
        avif = rate[f"avif_{name}_s"]
        beside = "" if avif is None else f", AVIF {1e3 * avif:.1f} ms"
        return f"{name} {1e3 * seconds:.1f} ms ({1.0 / seconds:.1f}/s, {100.0 * share:.0f} % of matmul{beside})"

    return f"{rate['bpp']:.2f} bpp (quality {rate['quality']:g}): {part('encode')}; {part('decode')}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
