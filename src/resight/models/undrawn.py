"""Models without the random start of their weights, and passes that ask for shapes alone."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


class Undrawn(TorchFunctionMode):
    """Leaves out the random start of weights that a file is about to overwrite.

    Saves the time, leaves the global generator alone, and on the meta device spares the import of half of torch.
    """

    DRAWS = frozenset({"normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "trunc_normal_"})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in self.DRAWS:
            tensor = args[0] if args else kwargs["tensor"]
            if not tensor.is_meta:
                tensor.detach().zero_()  # a loop that rejects draws must see one within bounds
            return tensor
        return func(*args, **kwargs)


class ShapesOnly(Undrawn):
    """On the meta device: a pass that leaves batch normalization out, which changes no shape.

    There torch takes it apart in Python, which is most of the time of such a pass.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.batch_norm:
            return args[0] if args else kwargs["input"]
        return super().__torch_function__(func, types, args, kwargs)
