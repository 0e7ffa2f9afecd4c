"""Compress the sample picture at three qualities, and compare with JPEG, WebP and AVIF of the same size.

Writes the compressed files, the decoded pictures and ``comparison.png`` into ``demo-out/``.
Run it with ``make demo``, or ``python samples/demo.py [PICTURE] [--out FOLDER]``.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

import glissando
from glissando.picture import Picture, eight_bits, read_picture, write_picture

Pixels = NDArray[np.uint8]

QUALITIES = (15, 45, 75)

PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "AVIF": ("AVIF", {"subsampling": "4:4:4", "speed": 6}),
    "WebP": ("WEBP", {"method": 6}),
    "JPEG": ("JPEG", {"subsampling": "4:2:0", "optimize": True}),
}


@dataclass(frozen=True)
class Result:
    codec: str
    setting: str
    bytes: int
    pixels: Pixels


def psnr(a: Pixels, b: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all samples of two 8-bit pictures."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def nearest_size(encode: Callable[[int], bytes], wanted: int) -> tuple[int, bytes]:
    """The quality, 0 to 100, whose file is nearest to the wanted size, and that file."""
    low, high = 0, 100
    tried: dict[int, bytes] = {}
    while low <= high:
        middle = (low + high) // 2
        tried[middle] = encode(middle)
        if len(tried[middle]) < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return min(tried.items(), key=lambda item: abs(len(item[1]) - wanted))


def peer(name: str, image: Image.Image, wanted: int) -> Result:
    """What another codec makes of the same number of bytes."""
    format, options = PEERS[name]

    def encode(quality: int) -> bytes:
        stream = io.BytesIO()
        image.save(stream, format, quality=quality, **options)
        return stream.getvalue()

    quality, data = nearest_size(encode, wanted)
    decoded = np.asarray(Image.open(io.BytesIO(data)).convert(image.mode))
    return Result(name, f"quality {quality}", len(data), decoded)


def side_by_side(original: Pixels, results: list[Result], path: Path, side: int = 224, zoom: int = 2) -> None:
    """Two crops of the original and of each result, enlarged, with labels."""
    height, width = original.shape[:2]
    side = min(side, height, width)
    corners = [(int((width - side) * x), int((height - side) * y)) for x, y in ((0.22, 0.28), (0.80, 0.24))]
    columns = [("Original", f"{original.size:,} bytes raw", original)]
    columns += [(r.codec, f"{r.bytes:,} bytes, {psnr(original, r.pixels):.2f} dB", r.pixels) for r in results]

    gap, head = 12, 64
    cell = side * zoom
    sheet = Image.new("RGB", (gap + len(columns) * (cell + gap), head + len(corners) * (cell + gap)), "white")
    draw = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(26), ImageFont.load_default(18)
    for column, (name, text, pixels) in enumerate(columns):
        left = gap + column * (cell + gap)
        draw.text((left, 4), name, fill="black", font=title)
        draw.text((left, 36), text, fill="black", font=small)
        for row, (x, y) in enumerate(corners):
            crop = Image.fromarray(np.ascontiguousarray(pixels[y : y + side, x : x + side]))
            sheet.paste(crop.resize((cell, cell), Image.Resampling.NEAREST), (left, head + row * (cell + gap)))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", nargs="?", type=Path, default=Path(__file__).with_name("kodim23.png"))
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where the results go")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    picture = Picture(eight_bits(read_picture(arguments.picture, convert=True)))
    image = Image.fromarray(picture.pixels)
    codec = glissando.open_model()
    name = arguments.picture.stem

    console = Console()
    table = Table("codec", "setting", title=f"{arguments.picture.name}, {picture.width} x {picture.height}")
    for heading in ("bytes", "bpp", "PSNR, dB"):
        table.add_column(heading, justify="right")
    comparison: list[Result] = []
    with console.status("compressing ...") as status:
        for quality in QUALITIES:
            data = codec.encode(picture, quality)
            (arguments.out / f"{name}-q{quality}.gliss").write_bytes(data)
            decoded = codec.decode_picture(data)
            write_picture(decoded, arguments.out / f"{name}-q{quality}.png")
            results = [Result("Glissando", f"-q {quality}", len(data), decoded.pixels)]
            for other in PEERS:
                status.update(f"looking for {other} of {len(data):,} bytes ...")
                results.append(peer(other, image, len(data)))
            for result in results:
                table.add_row(
                    result.codec,
                    result.setting,
                    f"{result.bytes:,}",
                    f"{8 * result.bytes / (picture.width * picture.height):.3f}",
                    f"{psnr(picture.pixels, result.pixels):.2f}",
                    style="bold" if result.codec == "Glissando" else None,
                )
            table.add_section()
            comparison = comparison or [r for r in results if r.codec != "WebP"]
    sheet = arguments.out / "comparison.png"
    side_by_side(picture.pixels, comparison, sheet)
    console.print(table)
    console.print(f"At about the same size, at the lowest of these rates: {sheet}", highlight=False)


if __name__ == "__main__":
    main()
