"""The packages that figures depend on."""

from __future__ import annotations

from importlib import metadata

from PIL import features

__all__ = ["package_versions"]

_PACKAGES = (
    "glissando", "numpy", "pillow", "constriction", "openvino", "onnxruntime", "bjontegaard", "scipy"
)  # fmt: skip


def package_versions() -> dict[str, str]:
    """Versions of the packages that the figures depend on, and of the codec libraries inside Pillow."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    for codec in ("jpg", "webp", "avif"):
        versions[f"pillow/{codec}"] = str(features.version(codec) or "not built in")
    if features.check_feature("libjpeg_turbo"):
        versions["pillow/jpg"] = f"libjpeg-turbo {features.version_feature('libjpeg_turbo')}"
    return versions
