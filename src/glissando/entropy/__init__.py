"""Which probability table codes which symbol: integer arithmetic that every machine repeats exactly."""

from .fixed_point import EARLY, LATE, dequantise, level_row, quality_units, table_index
from .scales import ScaleNetwork

__all__ = ["EARLY", "LATE", "ScaleNetwork", "dequantise", "level_row", "quality_units", "table_index"]
