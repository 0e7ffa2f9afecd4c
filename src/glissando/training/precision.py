"""Float32 for computations that need its precision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["full_precision"]


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Filters in float32: a variance is a small difference of large means, of which bfloat16 and TF32 leave nothing.

    cuDNN would take TF32 for them, as it does for the networks' convolutions; PyTorch's own depthwise kernels do not.
    """
    cudnn = torch.backends.cudnn.flags(enabled=False) if device.type == "cuda" else contextlib.nullcontext()
    with torch.autocast(device.type, enabled=False), cudnn:
        yield
