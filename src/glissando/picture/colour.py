"""Colours that are not carried: CMYK to RGB."""

from __future__ import annotations

import io

from PIL import Image

__all__ = ["rgb_of_cmyk"]


def rgb_of_cmyk(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, str]:
    """The image in RGB, by its own profile when that works, and the note that says how."""
    if icc is not None:
        from PIL import ImageCms

        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            rgb = ImageCms.profileToProfile(
                image, profile, ImageCms.createProfile("sRGB"), ImageCms.Intent.PERCEPTUAL, "RGB"
            )
            if rgb is not None:
                rgb.info.clear()
                return rgb, "CMYK is converted to sRGB by the picture's own profile"
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB"), "CMYK is converted to RGB without a profile; colours are approximate"
