"""Computations as ONNX graphs: built node by node, differentiated, and run by the same engines as a model's graphs.

``builder`` writes graphs, ``reverse`` adds their gradients, ``distortions`` has those that models are trained for. The
package ``onnx`` is needed here, and nowhere else that is not training; so this is imported when it is first used.
"""

from .builder import Builder
from .reverse import gradients

__all__ = ["Builder", "gradients"]
