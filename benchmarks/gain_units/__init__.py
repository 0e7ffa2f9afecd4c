"""Gain units on several base models, against dedicated models and against two other ways to vary the rate.

``python -m benchmarks.gain_units`` is the command; ``docs/gain-units.md`` shows what came out.
"""
