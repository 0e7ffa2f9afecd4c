"""The study's results in Markdown, one block for each question, and a drawing of the curves."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from glissando.files import atomic_write

from ..documents import table, update_blocks
from .recipe import Plan
from .results import Point, Result, bd_rate_against, by_group, distances, psnr_at, read_results

__all__ = ["blocks", "plot", "write"]

NONE = "–"


def blocks(plan: Plan, out: Path) -> dict[str, str]:
    """The text of every block by its name. Raises BenchmarkError where there are no results."""
    results = read_results(plan, out)
    groups = by_group(results)
    return {
        "gain-units-rates": "\n\n".join(
            [*(f"**{group}**\n\n{_comparison(plan, found)}" for group, found in groups.items()), _method(results)]
        ),
        "gain-units-between": _between(groups),
        "gain-units-overhead": _overhead(groups),
        "gain-units-beyond": _beyond(plan, groups),
    }


def write(plan: Plan, out: Path, document: Path) -> None:
    """Bring the blocks into a document, and the curves beside it. Raises BenchmarkError; OSError."""
    texts, picture = blocks(plan, out), document.with_suffix(".svg")
    shown = f"![PSNR over rate, and distances from the first model for all rates]({picture.name})"
    texts["gain-units-rates"] = f"{shown}\n\n{texts['gain-units-rates']}"
    drawn = plot(plan, out)
    update_blocks([document], texts)
    atomic_write(picture, drawn)


def _within(plan: Plan, result: Result) -> bool:
    """Whether a dedicated model's λ is one that the other rows are trained for as well."""
    rate = plan.common_rate
    return rate.lambda_low <= result.trained_lambda <= rate.lambda_high


def _dedicated(plan: Plan, found: Sequence[Result]) -> dict[str, list[Result]]:
    """The dedicated models of a group by name, of all seeds, as far as others are trained for their λ."""
    names: dict[str, list[Result]] = {}
    for result in found:
        if result.dedicated and _within(plan, result):
            names.setdefault(result.row.name, []).append(result)
    return names


def _variable(found: Sequence[Result]) -> dict[str, list[Result]]:
    """The models for all rates of a group by name, of all seeds; the first is the reference."""
    names: dict[str, list[Result]] = {}
    for result in found:
        if not result.dedicated:
            names.setdefault(result.row.name, []).append(result)
    return names


def _of_seed(results: Sequence[Result], seed: int) -> Result | None:
    return next((result for result in results if result.seed == seed), None)


def _pairs(
    results: Sequence[Result], others: Sequence[Result], value: Callable[[Result, Result], float | None]
) -> list[float]:
    """A value for each seed that both have."""
    found = []
    for result in results:
        other = _of_seed(others, result.seed)
        one = None if other is None else value(result, other)
        if one is not None:
            found.append(one)
    return found


def _cell(values: Sequence[float], digits: int, unit: str) -> str:
    """Mean over seeds, and half their range where there are several."""
    if not values:
        return NONE
    spread = f" ± {(max(values) - min(values)) / 2:.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):+.{digits}f}{unit}{spread}"


def _comparison(plan: Plan, found: Sequence[Result]) -> str:
    """One group's table: what each model for all rates has more than dedicated models, at their rates."""
    dedicated, variable = _dedicated(plan, found), _variable(found)
    reference = next(iter(variable.values()), [])

    def lead(result: Result, other: Result) -> float | None:
        _, bpp, psnr = other.curve[0]
        ours = psnr_at(result.curve, bpp)
        return None if ours is None else ours - psnr

    def against(result: Result, other: Result) -> float | None:
        return bd_rate_against(other.curve, result.curve)

    head = ["model for all rates"]
    for name, results in dedicated.items():
        bpp, psnr = (fmean(result.curve[0][axis] for result in results) for axis in (1, 2))
        head.append(f"against {name}: {bpp:.3f} bpp, {psnr:.2f} dB")
    body = [
        [
            name,
            *(_cell(_pairs(results, others, lead), 2, " dB") for others in dedicated.values()),
            NONE if results is reference else _cell(_pairs(results, reference, against), 1, " %"),
            str(len(results)),
        ]
        for name, results in variable.items()
    ]
    return table([*head, f"BD-rate against {next(iter(variable), NONE)}", "seeds"], body)


def _method(results: Sequence[Result]) -> str:
    recipe, first = results[0].recipe, results[0].figures
    machines = "; ".join(dict.fromkeys(result.figures["machine"] for result in results))
    return (
        f"Each model: {recipe.pictures:,} crops of {recipe.data.crop}×{recipe.data.crop} pixels, {first['steps']:,} "
        f"steps, from the same start; {machines}. Rates are those of files, which are decoded again, on "
        f"{recipe.measure.pictures} Kodak pictures; ± is half the range over seeds."
    )


def _between(groups: dict[str, list[Result]]) -> str:
    body = []
    for group, found in groups.items():
        for result in found:
            if "between" in result.figures:
                away = distances(result.figures["levels"], result.figures["between"])
                name = f"{group}: {result.row.name}"
                falls = _falls(result.figures["between"])
                body.append([name, str(len(away)), f"{np.abs(away).max():.3f}", f"{away.min():+.3f}", f"{falls:.2f} %"])
    if not body:
        return "Not measured yet."
    return table(["model", "rates", "largest distance, dB", "lowest", "largest fall of bytes"], body)


def _falls(points: Sequence[Point]) -> float:
    """By how much, in percent, the next higher quality's files are smaller, at most."""
    rates = np.array([bpp for _, bpp, _ in points])
    return float(max(0.0, 100 * (1 - rates[1:] / rates[:-1]).max()))


def _overhead(groups: dict[str, list[Result]]) -> str:
    body = []
    for group, found in groups.items():
        for name, results in _variable(found).items():
            cost = results[0].figures["overhead"]
            body.append(
                [
                    f"{group}: {name}",
                    f"{cost['base_parameters']:,}",
                    f"{100 * cost['added_parameters'] / cost['base_parameters']:.3f} %",
                    f"{cost['base_macs'] / 1000:.2f} k",
                    f"{100 * cost['added_macs'] / cost['base_macs']:.4f} %",
                    f"{cost['base_ms']:.1f}",
                    f"{cost['rated_ms'] - cost['base_ms']:+.2f} ± {cost['ms_spread']:.2f}",
                ]
            )
    if not body:
        return "Not measured yet."
    head = ["model", "parameters", "added", "multiply-adds a pixel", "added", "ms", "added, ± quartiles"]
    return table(head, body)


def _beyond(plan: Plan, groups: dict[str, list[Result]]) -> str:
    """Files at qualities outside 0 … 100, and dedicated models for λ outside the range, where there are any."""
    parts = []
    for group, found in groups.items():
        dedicated = [result for result in found if result.dedicated and not _within(plan, result)]
        for result in found:
            if "beyond" not in result.figures:
                continue
            points = sorted([*result.figures["beyond"], *result.curve])
            body = [[f"{q:g}", f"{bpp:.4f}", f"{psnr:.2f}"] for q, bpp, psnr in points if not 0 < q < 100]
            parts.append(f"**{group}: {result.row.name}**\n\n{table(['quality', 'bpp', 'PSNR, dB'], body)}")
            for other in dedicated:
                _, bpp, psnr = other.curve[0]
                ours = psnr_at(points, bpp)
                said = "does not reach that rate" if ours is None else f"has {ours - psnr:+.2f} dB there"
                parts.append(
                    f"{other.row.name}, for λ = {other.trained_lambda:.2g}: {bpp:.4f} bpp, {psnr:.2f} dB. "
                    f"The extrapolated model {said}."
                )
    return "\n\n".join(parts) or "Not measured yet."


def plot(plan: Plan, out: Path) -> bytes:
    """For each group PSNR over rate and, below, the distance from the gained model's curve. SVG."""
    groups = {name: found for name, found in by_group(read_results(plan, out)).items() if _variable(found)}
    settings = {"font.family": ["DejaVu Sans"], "font.size": 8, "svg.hashsalt": "glissando", "svg.fonttype": "path"}
    with rc_context(settings):  # type: ignore[arg-type]
        figure = Figure(figsize=(3.4 * max(1, len(groups)), 5.6), layout="constrained")
        panels = figure.subplots(2, max(1, len(groups)), squeeze=False)
        for column, (group, found) in enumerate(groups.items()):
            above, below = panels[0][column], panels[1][column]
            variable = _variable(found)
            reference = next(iter(variable.values()))[0].curve
            curves = [(name, results[0].curve, "-") for name, results in variable.items()]
            alone = [results[0].curve[0] for results in _dedicated(plan, found).values()]
            dedicated = sorted(alone, key=lambda point: point[1])
            if dedicated:
                curves.append(("dedicated", dedicated, "none"))
            for name, points, line in curves:
                rates, psnrs = ([point[axis] for point in points] for axis in (1, 2))
                marker = "o" if line == "none" else None
                above.plot(rates, psnrs, linestyle=line, marker=marker, linewidth=1.1, label=name)
                known = [(bpp, psnr - at) for _, bpp, psnr in points if (at := psnr_at(reference, bpp)) is not None]
                below.plot(*zip(*known, strict=True), linestyle=line, marker=marker, linewidth=1.1, label=name)
            above.set_title(group, fontsize=8.5)
            below.set_xlabel("bits per pixel")
            for axes in (above, below):
                axes.set_xscale("log")
                axes.grid(True, which="both", color="#e4e4e4", linewidth=0.6)
                axes.spines[["top", "right"]].set_visible(False)
            above.legend(frameon=False, fontsize=6.5, loc="lower right")
        panels[0][0].set_ylabel("PSNR, dB")
        panels[1][0].set_ylabel("dB above the first model for all rates")
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    data = stream.getvalue()
    return data[data.index(b"<svg") :]  # without the doctype, which names an address
