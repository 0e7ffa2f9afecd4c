"""Torch blocks, transforms and layers that families of models share (needs ``glissando[train]``)."""
