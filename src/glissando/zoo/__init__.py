"""Shipped models. A model is one decoder and one or more encoders, in a folder of its own:

    card.json       what it is, where it comes from, how it was trained, what it scores, its licence
    integers.npz    everything the entropy coder depends on: log-gains, scale network, probability tables
    decoder.npz     weights of the decoder's graphs, float16
    encoder.npz     weights of the analysis graph, float16
    *.onnx          the graphs; their weights lie in the .npz files

The model's hash, which every file carries, covers what a decoder uses: integers.npz, decoder.npz and
decode.onnx.
"""

from .model import Card, Model, find, find_hash, models

__all__ = ["Card", "Model", "find", "find_hash", "models"]
