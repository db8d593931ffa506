"""Smoothing of traced light: irradiance is averaged over neighbors of like orientation, depth and brightness.

Light is divided by the surface's own color before the averaging and multiplied with it after, so that cloth keeps its
print.  A joint bilateral filter after Petschnigg et al., SIGGRAPH 2004, with the renderer's normals and depth as guide.
"""

from __future__ import annotations

import numpy as np

from resight.synth.scene.surface import Array

_REACH = 3  # pixels
_TURNED, _APART, _BRIGHTER = 0.25, 0.02, 0.45  # spreads: of normals, of depth (share), of the logarithm of light


def denoise(traced: Array) -> Array:
    """Traced channels (h, w, 10), light, albedo, normal, depth, -> light (h, w, 3)."""
    light, albedo, normal, depth = np.split(traced, [3, 6, 9], axis=-1)  # (h, w, 3) x 3, (h, w, 1)
    seen = (depth > 0) & (albedo.max(axis=-1, keepdims=True) > 0)
    color = np.where(seen, np.maximum(albedo, 0.01), 1.0)
    even = light / color
    tone = np.log(_box(np.minimum(even.mean(axis=-1, keepdims=True), 20.0)) + 0.02)
    guide = np.concatenate([normal / _TURNED, np.log(np.maximum(depth, 1e-3)) / _APART, tone / _BRIGHTER], axis=-1)
    total, share = np.zeros_like(even), np.zeros_like(tone)
    h, w, _ = even.shape
    far, near = _padded(guide), _padded(even)
    for down in range(2 * _REACH + 1):
        for right in range(2 * _REACH + 1):
            other = far[down : down + h, right : right + w]
            weight = np.exp(-0.5 * ((guide - other) ** 2).sum(axis=-1, keepdims=True))
            total += weight * near[down : down + h, right : right + w]
            share += weight
    return np.asarray(np.where(seen, total / share * color, light))


def _padded(values: Array) -> Array:
    return np.pad(values, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)), mode="edge")


def _box(values: Array) -> Array:
    """Mean over 3 x 3 pixels."""
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    h, w, _ = values.shape
    return np.asarray(sum(padded[i : i + h, j : j + w] for i in range(3) for j in range(3)) / 9)
