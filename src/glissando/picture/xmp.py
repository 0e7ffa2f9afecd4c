"""XMP packets, changed where they tell what is no longer so.

A packet is XML. Only what is looked for is changed, by its text: a packet that was written anew would lose the order
and the white space that other programs left for their own changes.
"""

from __future__ import annotations

import re

__all__ = ["merge_extension", "set_upright", "without_claims"]

_NAMED = rb"(\s*=\s*[\"']|>)"  # a property is an attribute or an element


def set_upright(xmp: bytes, width: int, height: int) -> bytes:
    """The packet with orientation 1 and the size of the upright picture, where it tells them.

    EXIF alone decides how a picture is turned, as in browsers; XMP must not turn it once more.
    """
    xmp = re.sub(rb"(tiff:Orientation" + _NAMED + rb")[1-8]", rb"\g<1>1", xmp)
    for names, value in ((rb"exif:PixelXDimension|tiff:ImageWidth", width),
                         (rb"exif:PixelYDimension|tiff:ImageLength", height)):  # fmt: skip
        xmp = re.sub(rb"((?:" + names + rb")" + _NAMED + rb")\d+", rb"\g<1>%d" % value, xmp)
    return xmp


_CLAIMS = {
    "gain map": rb"hdrgm:|HDRGainMap:|Semantic\s*=\s*[\"']GainMap",
    "video": rb"GCamera:(?:MotionPhoto|MicroVideo)|Semantic\s*=\s*[\"']MotionPhoto",
}
_CLAIMING = rb"(?:hdrgm|HDRGainMap):\w+|GCamera:(?:MotionPhoto|MicroVideo)\w*|Container:Directory"


def without_claims(xmp: bytes) -> tuple[bytes, list[str]]:
    """The packet without what says that other pictures or a video follow in the file, and the names of these.

    It is what Ultra HDR (``hdrgm``), Apple's gain maps and Google's motion photographs write.
    """
    names = [name for name, claim in _CLAIMS.items() if re.search(claim, xmp)]
    if not names:
        return xmp, []
    xmp = _without_elements(xmp, _CLAIMING)
    xmp = re.sub(rb"\s(?:" + _CLAIMING + rb")\s*=\s*(?:\"[^\"]*\"|'[^']*')", b"", xmp)
    xmp = re.sub(rb"\sxmlns:(?:hdrgm|HDRGainMap)\s*=\s*(?:\"[^\"]*\"|'[^']*')", b"", xmp)
    return xmp, names


def _without_elements(xmp: bytes, names: bytes) -> bytes:
    """The packet without all elements whose names match this expression, with all that lies in them."""
    kept, at = [], 0
    for found in re.finditer(rb"<(" + names + rb")(?=[\s/>])[^<>]*>", xmp):
        if found.start() < at:
            continue
        kept.append(xmp[at : found.start()])
        at = found.end()
        if not found[0].endswith(b"/>"):
            close = xmp.find(b"</" + found[1], at)
            after = xmp.find(b">", close) + 1
            at = after if close >= 0 and after > 0 else len(xmp)
    kept.append(xmp[at:])
    return b"".join(kept)


def merge_extension(xmp: bytes, extension: bytes) -> bytes | None:
    """A packet with the descriptions of its extension (XMP part 3, 1.1.3.1); None where either has an unusual form."""
    start = re.search(rb"<rdf:RDF[^<>]*>", extension)
    end = extension.rfind(b"</rdf:RDF")
    place = xmp.rfind(b"</rdf:RDF")
    if start is None or end < start.end() or place < 0:
        return None
    merged = xmp[:place] + extension[start.end() : end] + xmp[place:]
    note = rb"xmpNote:HasExtendedXMP"
    merged = re.sub(rb"\s" + note + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')", b"", merged)
    return _without_elements(merged, note)
