"""What outputs in a folder are called."""

from __future__ import annotations

import os
import string
from dataclasses import dataclass

from glissando.errors import InputError

__all__ = ["FIELDS", "Naming"]

FIELDS = ("stem", "ext")
"""What a template may contain: an input's name without its extension, and its extension without dot."""


@dataclass(frozen=True)
class Naming:
    """How the name of an output comes of the name of an input.

    Attributes:
        template: the name, with ``FIELDS`` in braces.

    Raises:
        InputError: a template with other fields, or one that is no name of a file in a folder.
    """

    template: str

    def __post_init__(self) -> None:
        template = self.template
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise InputError(f"{template!r}: {error}") from None
        for _, name, form, conversion in parts:
            if name is not None and (name not in FIELDS or form or conversion):
                known = ", ".join(f"{{{each}}}" for each in FIELDS)
                raise InputError(f"{template!r}: no field {{{name}}}; known: {known}")
        if "/" in template or os.sep in template:
            raise InputError(f"{template!r} is no name of a file in a folder")

    @classmethod
    def with_suffix(cls, suffix: str) -> Naming:
        """The usual one: an input's name with ``suffix``, which begins with a dot, in place of its own."""
        return cls("{stem}" + suffix.replace("{", "{{").replace("}", "}}"))

    def __call__(self, name: str) -> str:
        """The name of the output of a file of this name, both without folders. Raises InputError where it is none."""
        dot = name.rfind(".")
        stem, ext = (name[:dot], name[dot + 1 :]) if 0 < dot < len(name) - 1 else (name, "")
        found = self.template.format(stem=stem, ext=ext)
        if found in ("", ".", ".."):
            raise InputError(f"--name gives it the name {found!r}, which no file can have")
        return found
