"""Comparing codecs: ``glissando bench``. Needs the extra ``bench``."""
