"""Studies of the codec that `glissando bench` does not make by itself.

``python -m benchmarks.checks`` measures a model's file sizes, cold start and sameness between engines, and
``python -m benchmarks.readme`` writes these and the results of `glissando bench` into the README.
"""
