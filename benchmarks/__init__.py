"""Measurements of the codec: rate and distortion, speed, size, and sameness across machines.

``python -m benchmarks.kodak`` prints every figure that the project claims, beside its bar and its aim;
``python -m benchmarks.readme RESULTS.json README.md`` writes the last results into the README.
"""
