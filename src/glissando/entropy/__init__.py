"""Integer arithmetic that every machine repeats exactly, as far as families share it.

``fixed_point`` has levels, gains and powers of two, ``dense`` the layers of integer networks. The networks themselves
are each family's own (``glissando.families``).
"""

from .fixed_point import EARLY, LATE, dequantise, level_row, power_of_two, quality_units, table_index

__all__ = ["EARLY", "LATE", "dequantise", "level_row", "power_of_two", "quality_units", "table_index"]
