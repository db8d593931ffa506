"""Base class of backbones: a feature map, or a chain of stages."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from resight.errors import CheckpointError, UsageError

Stage = Callable[[Tensor], Tensor]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """A network without its classifier.

    forward: pixels (B, 3, H, W) -> last map (B, channels[-1], h, w).
    stages: the same as a list of functions, each from the map before; conv2..conv5 are the last four.
    stage_modules: the same as modules, for a method that takes the trunk apart and keeps the pieces.
    channels: of each stage's map.  stride: picture rows to one row of the last map.
    mean, std: what its pre-trained weights expect of the pixels.
    fixed_size: the one picture size (H, W) it accepts, None where it takes any.
    """

    channels: tuple[int, ...]
    stride: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    fixed_size: tuple[int, int] | None = None

    def stages(self) -> list[Stage]:
        raise NotImplementedError

    def stage_modules(self) -> list[nn.Module]:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages():
            x = stage(x)
        return x


def timm_normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    import timm

    config = timm.get_pretrained_cfg(name)
    return (tuple(config.mean), tuple(config.std)) if config is not None else (IMAGENET_MEAN, IMAGENET_STD)


def offline(name: str, error: Exception) -> CheckpointError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return CheckpointError(
        f"the pre-trained weights of {name} could not be fetched ({reason[:160]}). Connect to the network "
        f"once, name a file with backbone.weights, or set backbone.pretrained = false to start from scratch."
    )


def foreign(name: str, error: Exception) -> UsageError:
    return UsageError(f"timm gives no feature maps of {name} ({error}). Choose another backbone.")
