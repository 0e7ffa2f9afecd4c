"""Which probability table codes which symbol: integer arithmetic that every machine repeats exactly."""

from .bits import ODDS_TABLES, BitContext
from .fixed_point import EARLY, LATE, dequantise, level_row, quality_units, table_index
from .magnitudes import MAGNITUDE_MOST, MAGNITUDE_TABLES, MagnitudeContext
from .scales import ScaleNetwork

__all__ = [
    "EARLY",
    "LATE",
    "MAGNITUDE_MOST",
    "MAGNITUDE_TABLES",
    "ODDS_TABLES",
    "BitContext",
    "MagnitudeContext",
    "ScaleNetwork",
    "dequantise",
    "level_row",
    "quality_units",
    "table_index",
]
