"""What part of a picture is to be seen, and how: the parts of a request to ``/img`` once they are understood."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["View"]


@dataclass(frozen=True)
class View:
    """A part of a picture at some size.

    Attributes:
        region: x, y, width and height in pixels, inside the picture.
        size: width and height of what is shown, before it is turned; no larger than the region.
        mirrored: left and right are exchanged, before it is turned.
        quarter_turns: clockwise, 0 to 3.
        colours: "color", "gray" or "bitonal".
    """

    region: tuple[int, int, int, int]
    size: tuple[int, int]
    mirrored: bool = False
    quarter_turns: int = 0
    colours: str = "color"

    @property
    def covering(self) -> tuple[int, int]:
        """The smallest size in the region's proportions that is as large as ``size`` both ways: what is decoded.

        It is no larger than the region, as a size never is.
        """
        _, _, width, height = self.region
        wide, high = self.size
        if wide * height >= high * width:
            return wide, -(-height * wide // width)
        return -(-width * high // height), high
