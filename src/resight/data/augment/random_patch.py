"""Random patch.  Zhou et al., "Omni-scale feature learning for person re-identification", ICCV 2019.

Every image gives a patch to a pool; once the pool holds 100, an image receives a random one with some
probability, at a uniform place, mirrored half the time.  Patches are copies, so what is pasted later is what
was cut.  Several processes show one another what they cut, so all hold the one pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from resight.data.augment.random_erasing import Numbers, Shape, boxes
from resight.dist import first_row, gather_labels, world_size

if TYPE_CHECKING:
    from collections.abc import Mapping

SHAPE = Shape(0.01, 0.5, 0.1, 10.0, log=False, tries=100)
READY = 100  # patches in the pool before any is pasted
NUMBERS = SHAPE.numbers + 5


class PatchPool:
    """Random patch: pastes patches of a pool of up to `capacity`, the oldest replaced first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.patches: list[Tensor] = []  # (3, h, w) uint8 each
        self.next = 0  # where the next patch goes once the pool is full

    def __call__(self, images: Tensor, numbers: Numbers, probability: float) -> Tensor:
        cuts = boxes(numbers, (images.shape[-2], images.shape[-1]), SHAPE).tolist()
        draws = numbers.take(5).tolist()
        pasted = images.clone()
        for row, patch in enumerate(everyones([_cut(*pair) for pair in zip(images, cuts, strict=True)])):
            self._add(patch)
            mine = row - first_row(images)
            if 0 <= mine < len(images) and len(self.patches) >= READY and draws[mine][0] < probability:
                self._paste(pasted[mine], draws[mine])
        return pasted

    def state_dict(self) -> dict[str, Any]:
        """The pool as three tensors: pixels end to end, (n, 2) heights and widths, the next place."""
        flat = [patch.reshape(-1).cpu() for patch in self.patches]
        shapes = [patch.shape[1:] for patch in self.patches]
        return {
            "pixels": torch.cat(flat) if flat else torch.empty(0, dtype=torch.uint8),
            "shapes": torch.tensor([list(shape) for shape in shapes], dtype=torch.int64).reshape(-1, 2),
            "next": torch.tensor(self.next),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`."""
        shapes = state["shapes"].tolist()
        flat = state["pixels"].split([3 * h * w for h, w in shapes])
        self.patches = [pixels.reshape(3, h, w).clone() for pixels, (h, w) in zip(flat, shapes, strict=True)]
        self.next = int(state["next"])

    def _add(self, patch: Tensor) -> None:
        if not patch.numel():
            return
        if len(self.patches) < self.capacity:
            self.patches.append(patch)
        else:
            self.patches[self.next] = patch
            self.next = (self.next + 1) % self.capacity

    def _paste(self, target: Tensor, draw: list[float]) -> None:
        _, which, mirror, y, x = draw
        patch = self.patches[int(which * len(self.patches))].to(target.device)
        (h, w), (height, width) = patch.shape[1:], target.shape[1:]
        if h > height or w > width:
            return  # cut from a larger image
        top, left = int(y * (height - h + 1)), int(x * (width - w + 1))
        target[:, top : top + h, left : left + w] = (patch.flip(-1) if mirror < 0.5 else patch).to(target) / 255


def everyones(patches: list[Tensor]) -> list[Tensor]:
    """The patches of the whole batch, in the order of its rows: (3, h, w) uint8 each, sizes differ."""
    if world_size() == 1:
        return patches
    device = patches[0].device
    shapes = gather_labels(torch.tensor([[patch.shape for patch in patches]], device=device))  # (W, n, 3)
    flat = torch.zeros(1, int(shapes.prod(dim=2).sum(dim=1).max()), dtype=torch.uint8, device=device)
    flat[0, : sum(patch.numel() for patch in patches)] = torch.cat([patch.reshape(-1) for patch in patches])
    found = []
    for row, theirs in zip(gather_labels(flat), shapes.tolist(), strict=True):
        start = 0
        for c, h, w in theirs:
            found.append(row[start : start + c * h * w].view(c, h, w).clone())
            start += c * h * w
    return found


def _cut(image: Tensor, cut: list[int]) -> Tensor:
    """Copy a box (top, left, height, width) out of an image (3, H, W): (3, h, w) uint8."""
    top, left, h, w = cut
    return (image[:, top : top + h, left : left + w].clamp(0, 1) * 255).round().to(torch.uint8)
