"""Float32 for computations that need its precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["full_precision"]


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Filters in float32: a variance is a small difference of large means, of which bfloat16 and TF32 leave nothing.

    On a GPU a training has chosen TF32 for the networks' products (``choose_device``), and cuDNN would take it for
    convolutions too; PyTorch's own depthwise kernels do not.
    """
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        chosen = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            with torch.backends.cudnn.flags(enabled=False):
                yield
        finally:
            torch.set_float32_matmul_precision(chosen)
