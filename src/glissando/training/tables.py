"""Recipes as TOML tables: a file, its base file, and settings on top; and the frozen dataclasses that they fill."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

from glissando.errors import RecipeError

__all__ = ["build_tables", "merged", "read_tables"]


def read_tables(path: Path, settings: Sequence[str] = ()) -> dict[str, Any]:
    """A recipe's tables: those of the file that its key ``base`` names, changed by its own, changed by ``settings``.

    A base lies beside the recipe and may have one itself. A setting is "table.key=value", as TOML has it; a value that
    is no TOML is a string. Raises RecipeError.
    """
    values = _with_bases(path, ())
    for setting in settings:
        values = merged(values, _setting(setting))
    return values


def _with_bases(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """A recipe's tables over those of its bases. ``above``: the recipes that build on this one."""
    if path in above:
        raise RecipeError(f"{above[0]}: its bases come back to {path}")
    values = _read_toml(path)
    if "base" not in values:
        return values
    name = values.pop("base")
    if not isinstance(name, str):
        raise RecipeError(f"{path}: 'base' is the name of a recipe, not {name!r}")
    return merged(_with_bases(path.parent / name, (*above, path)), values)


def _read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises RecipeError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise RecipeError(f"cannot read recipe {path}: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error


def _setting(text: str) -> dict[str, Any]:
    key, equals, value = (part.strip() for part in text.partition("="))
    for candidate in (value, json.dumps(value)):
        if key and equals and "\n" not in text:
            with contextlib.suppress(tomllib.TOMLDecodeError):
                return tomllib.loads(f"{key} = {candidate}")
    raise RecipeError(f"a setting is table.key=value, not {text!r}")


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Nested tables merged; where both have a key, ``changes`` wins."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


def build_tables(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    """A frozen dataclass from a TOML table, each key checked by name and type."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in fields:
            raise RecipeError(f"unknown key {name!r}; known here: {', '.join(fields)}")
        made = fields[key].default_factory
        default = made() if made is not dataclasses.MISSING else fields[key].default
        if dataclasses.is_dataclass(default):
            if not isinstance(value, dict):
                raise RecipeError(f"{name!r} is a table, not {value!r}")
            arguments[key] = build_tables(type(default), value, f"{name}.")
            continue
        if isinstance(default, tuple):
            expected = get_args(get_type_hints(kind)[key])[0]
            if not isinstance(value, list | tuple):
                raise RecipeError(f"{name!r} is a list of {expected.__name__}, not {value!r}")
            arguments[key] = tuple(_checked(f"{name}[{i}]", expected, item) for i, item in enumerate(value))
        else:
            arguments[key] = _checked(name, type(default), value)
    return kind(**arguments)


def _checked(name: str, expected: type, value: Any) -> Any:
    """The value of this type; a number is finite and not negative. Raises RecipeError."""
    if expected is float and type(value) is int:
        value = float(value)
    if type(value) is not expected:
        raise RecipeError(f"{name!r} must be {expected.__name__}, not {value!r}")
    if isinstance(value, int | float) and not 0 <= value < math.inf:
        raise RecipeError(f"{name!r} must be a finite number, zero or more, not {value!r}")
    return value
