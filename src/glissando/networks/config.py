"""The base of what families say of the shape of their networks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

__all__ = ["NetworkConfig", "optional"]

_OPTIONAL = "optional"


def optional(default: Any) -> Any:
    """A field that is left out of a model's configuration where it has its default.

    A network that does not need the field then has the same configuration, and a model the same hash, as if the field
    did not exist.
    """
    return dataclasses.field(default=default, metadata={_OPTIONAL: True})


@dataclass(frozen=True)
class NetworkConfig:
    """What shapes a network: the base of each family's own class. Each family adds its own fields, which are the keys
    of a recipe's ``[network]`` table.
    """

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, without those that are ``optional`` and have their default."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not (field.metadata.get(_OPTIONAL) and getattr(self, field.name) == field.default)
        }
