"""The picture of ``docs/bayes.md``: grids mapped by a prior, and the points that two posteriors choose.

    python -m benchmarks.bayes_picture docs/bayes.svg

Needs ``glissando[bench]``. The points are found by ``glissando.bayes.search``, not drawn by hand.
"""

from __future__ import annotations

import argparse
from statistics import NormalDist
from typing import Any

import numpy as np

from glissando import bayes

MAX_BITS = 5
WEIGHT = 0.25  # λ, nats a bit
POSTERIORS = ((0.93, 0.06, "#c0392b", "sharp"), (-0.93, 0.6, "#2466a8", "broad"))
GREY = "#8a8a8a"


def draw(path: str) -> None:
    """Write the picture; its suffix says in which format."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "glissando", "font.size": 9, "axes.spines.top": False})
    matplotlib.rcParams.update({"axes.spines.right": False, "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    prior = NormalDist()
    xi = bayes.positions(MAX_BITS)
    depths = bayes.symbol_depths(MAX_BITS)
    points = np.array([[prior.inv_cdf(x) for x in xi]])
    mean = np.array([m for m, *_ in POSTERIORS])
    std = np.array([s for _, s, *_ in POSTERIORS])
    chosen = bayes.search(mean, std, points, np.arange(MAX_BITS + 1.0), WEIGHT) + (1 << MAX_BITS) - 1

    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(7.4, 5.6), sharex=True, layout="constrained", height_ratios=(1.15, 1)
    )
    z = np.linspace(-2.6, 2.6, 201)
    top.plot(z, [prior.cdf(v) for v in z], color="black", lw=1.2)
    for value, x, depth in zip(points[0], xi, depths, strict=True):
        top.plot([-2.6, value, value], [x, x, 0], color=GREY, lw=0.9 - 0.13 * depth, alpha=0.8)
    top.set_ylim(0, 1)
    top.set_yticks([0, 0.25, 0.5, 0.75, 1])
    top.set_ylabel("ξ = F(z)")
    top.set_title("Points even in ξ lie densely in z where the prior has its mass", loc="left", fontsize=10)

    bottom.set_ylim(MAX_BITS + 0.5, -1.9)
    bottom.set_xlim(-2.6, 2.6)
    bottom.set_yticks(range(MAX_BITS + 1), [f"{n} bits" if n != 1 else "1 bit" for n in range(MAX_BITS + 1)])
    bottom.scatter(points[0], depths, s=14, color=GREY, zorder=2)
    for (m, s, colour, name), index in zip(POSTERIORS, chosen, strict=True):
        _posterior(bottom, z, m, s, colour)
        depth, value = int(depths[index]), points[0, index]
        bottom.plot([m, m], [-0.55, depth], color=colour, lw=0.8, ls=":", zorder=1)
        bottom.scatter([value], [depth], s=60, color=colour, zorder=3)
        bits = "1 bit" if depth == 1 else f"{depth} bits"
        bottom.annotate(
            f"{name}: {bits}", (value, depth), (7, -11), textcoords="offset points", color=colour, fontweight="bold"
        )
    bottom.set_xlabel("z")
    bottom.set_title(
        f"Two posteriors and the points they take: least (z − μ)²/2σ² + λ·bits, λ = {WEIGHT:g}",
        loc="left",
        fontsize=10,
    )
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)


def _posterior(axes: Any, z: np.ndarray[Any, Any], mean: float, std: float, colour: str) -> None:
    """A bell above the grids, one unit high."""
    bell = np.exp(-((z - mean) ** 2) / (2 * std**2))
    axes.fill_between(z, -0.55, -0.55 - bell, color=colour, alpha=0.3, lw=0)
    axes.plot(z, -0.55 - bell, color=colour, lw=1)


def main() -> None:
    """Draw it where the command line says."""
    parser = argparse.ArgumentParser(description="Draw the picture of docs/bayes.md.")
    parser.add_argument("out", help="docs/bayes.svg")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
