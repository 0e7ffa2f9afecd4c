"""Runs an exported graph: OpenVINO, or ONNX Runtime. Nothing is imported before it is needed."""

from .backends import (
    BACKENDS,
    PRECISIONS,
    Graph,
    abandon,
    choose_engine,
    fast_int8,
    fast_precision,
    is_broken,
    open_graph,
    release,
)

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "Graph",
    "abandon",
    "choose_engine",
    "fast_int8",
    "fast_precision",
    "is_broken",
    "open_graph",
    "release",
]
