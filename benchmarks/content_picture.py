"""The picture of ``docs/content-weighted.md``: a photograph, its map, and what each latent of it costs.

    python -m benchmarks.content_picture MODEL docs/content-weighted.png [--picture samples/kodim23.png] [--quality 50]

Needs ``glissando[bench]``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glissando.codec import Codec
from glissando.errors import GlissandoError
from glissando.families.content.coding import ContentCoding
from glissando.picture import Picture, read_picture

from .content import open_content

__all__ = ["draw", "main"]

SAMPLE = Path(__file__).parents[1] / "samples" / "kodim23.png"


def draw(codec: Codec, picture: Picture, quality: float, path: Path) -> None:
    """Write the three panels side by side; the file's suffix says in which format."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"font.size": 9})
    import matplotlib.pyplot as plt

    coding = codec.coding
    assert isinstance(coding, ContentCoding)  # as open_content sees to it
    data, bits = codec.encode_with_bits(picture, quality)
    rows, columns = bits.shape
    kept = codec.decode_symbols(data).latents.kept[:rows, :columns, 0]
    height, width = picture.pixels.shape[:2]
    bpp = 8 * len(data) / (height * width)

    figure, panels = plt.subplots(1, 3, figsize=(12, 12 * height / width / 3 + 0.7), layout="constrained")
    panels[0].imshow(picture.pixels, cmap="gray")
    panels[0].set_title(f"photograph; quality {quality:g} is {bpp:.2f} bpp here", loc="left", fontsize=10)
    shown: tuple[tuple[Any, str, Any], ...] = (
        (panels[1], f"map: levels kept, of {coding.levels}", kept),
        (panels[2], "bits per latent", bits),
    )
    for axes, title, values in shown:
        # Latents at the edge reach beyond the picture: the picture's own frame cuts them off.
        pitch = codec.pixels_per_latent
        extent = (0, columns * pitch, rows * pitch, 0)
        image = axes.imshow(
            values, cmap="magma", vmin=0, vmax=max(1, np.ceil(values.max())), extent=extent, interpolation="nearest"
        )
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01)
    for axes in panels:
        axes.set_axis_off()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the picture was written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.content_picture", description="Draw the picture of docs/content-weighted.md."
    )
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("out", type=Path, help="docs/content-weighted.png")
    parser.add_argument("--picture", type=Path, default=SAMPLE)
    parser.add_argument("--quality", type=float, default=50.0)
    given = parser.parse_args(arguments)
    try:
        draw(open_content(given.model), read_picture(given.picture), given.quality, given.out)
    except (OSError, ValueError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
