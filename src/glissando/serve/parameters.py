"""Parameters of requests: their names, types and ranges, in the words of JSON Schema, which OpenAPI uses as well."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from glissando.errors import InputError

__all__ = ["Parameter", "parsed", "whole_numbers"]

_BOOLEANS = {"true": True, "1": True, "yes": True, "": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a request's query, path or form.

    Attributes:
        name: as it stands in the request.
        schema: its type ("number", "integer", "boolean" or "string") and what else there is to say of its values:
            minimum, maximum, enum, pattern, default.
        about: what it is for, a sentence.
        place: "query", which a form may hold as well, or "path".
        required: whether a request must have it, as it must any of the path.
        then: what makes of the value what is used.
    """

    name: str
    schema: Mapping[str, Any]
    about: str
    place: str = "query"
    required: bool = False
    then: Callable[[Any], Any] = lambda value: value

    def parse(self, text: str) -> Any:
        """The value of a text. Raises InputError where it is none, or out of range."""
        kind = self.schema["type"]
        value: Any = None
        if kind == "boolean":
            value = _BOOLEANS.get(text.lower())
        elif kind == "integer":
            value = int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else None
        elif kind == "number":
            value = float(text) if re.fullmatch(r"[+-]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})", text) else None
        else:
            value = text if re.fullmatch(self.schema.get("pattern", "[^\0]*"), text) else None
        if value is None:
            article = "an" if kind == "integer" else "a"
            what = f"of the form {self.schema['pattern']}" if "pattern" in self.schema else f"{article} {kind}"
            raise InputError(f"parameter {self.name!r} must be {what}, not {text[:80]!r}")
        if value not in self.schema.get("enum", (value,)):
            raise InputError(f"parameter {self.name!r} is one of {', '.join(self.schema['enum'])}, not {text[:80]!r}")
        least, most = self.schema.get("minimum", -math.inf), self.schema.get("maximum", math.inf)
        if kind in ("integer", "number") and not least <= value <= most:
            raise InputError(f"parameter {self.name!r} must be from {least:g} to {most:g}, not {text}")
        return self.then(value)


def whole_numbers(text: str) -> tuple[int, ...]:
    """The whole numbers in a text such as 10,20,30,40 or 640x480; one alone counts twice, for both sides."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", text))
    return numbers * 2 if len(numbers) == 1 else numbers


def parsed(parameters: Iterable[Parameter], given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The values of those parameters that are given.

    Raises InputError for one that is unknown, given twice, needed and not given, or has no such value.
    """
    known = {parameter.name: parameter for parameter in parameters}
    found: dict[str, Any] = {}
    for name, text in given:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InputError(f"no parameter {name[:80]!r} here; known: {names}")
        if name in found:
            raise InputError(f"parameter {name!r} is given twice")
        found[name] = known[name].parse(text)
    for name, parameter in known.items():
        if parameter.required and name not in found:
            raise InputError(f"parameter {name!r} is needed: {parameter.about}")
    return found
