"""Colours that are not carried: CMYK to RGB, transparency over white."""

from __future__ import annotations

import io

from PIL import Image

__all__ = ["opaque", "rgb_of_cmyk"]


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


def opaque(image: Image.Image, grey_in_rgba: bool) -> tuple[Image.Image, bool]:
    """The image without alpha, blended over white, and whether that changed anything."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return image, False
    if image.mode == "La":  # Pillow converts colours that are multiplied by their opacity to no mode but their own
        image = image.convert("LA")
    grey = grey_in_rgba or image.mode in ("L", "1", "LA", "La")
    with_alpha = image if image.mode == "RGBA" else image.convert("RGBA")
    lowest, _ = with_alpha.getchannel("A").getextrema()
    blended = lowest != 255
    if blended:
        white = Image.new("RGBA", with_alpha.size, "white")
        with_alpha = Image.alpha_composite(white, with_alpha)
    return (with_alpha.getchannel("R") if grey else with_alpha.convert("RGB")), blended
