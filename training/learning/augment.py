"""Random changes to training pictures, as Keras operations on whole batches.

One affine transform does crop, turn, scale, stretch, slant, shift and mirror at once: pictures are interpolated only
once. Its ranges stand for what the pipeline will meet: landmarks a little off, light of any kind, cameras and films of
any age. Random numbers come from the caller, because each backend of Keras has its own generator.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.recipe import Jitter

DRAWS = 18
"""Random numbers that `augment` takes for each picture."""


def middle(chips: Any, size: int) -> Any:
    """Chips [n, S, S, …] without their margin, [n, size, size, …]."""
    border = (chips.shape[1] - size) // 2
    return chips[:, border : border + size, border : border + size]


def augment(images: Any, size: int, jitter: Jitter, draws: Any) -> Any:
    """A changed chip of each picture.

    Args:
      images: [n, S, S, c] uint8; the chip is its middle part, what lies around it is the margin for jitter.
      size: width and height of the chip, at most S.
      jitter: how far.
      draws: [n, DRAWS] float32 by chance, uniform in [0, 1).

    Returns:
      [n, size, size, c] float32 in 0 … 255.
    """
    import math

    from keras import ops

    def spread(i: int, reach: float) -> Any:
        return (2 * draws[:, i] - 1) * reach

    angle = spread(0, math.radians(jitter.degrees))
    scale = jitter.scale[0] + draws[:, 1] * (jitter.scale[1] - jitter.scale[0])
    mirror = ops.where(draws[:, 2] < 0.5, -1.0, 1.0)
    wide, slant = ops.sqrt(1 + spread(9, jitter.stretch)), spread(10, jitter.slant)
    # The operation wants output → input: p ↦ A·(p − c) + c + t, with the middle c; A is turn · slant · stretch.
    cos, sin, c = ops.cos(angle) / scale, ops.sin(angle) / scale, (images.shape[1] - 1) / 2
    a0, a1 = cos / wide * mirror, (cos * slant - sin) * wide
    b0, b1 = sin / wide * mirror, (sin * slant + cos) * wide
    x = c + spread(3, jitter.shift * size) - (a0 + a1) * c
    y = c + spread(4, jitter.shift * size) - (b0 + b1) * c
    zeros = ops.zeros_like(a0)
    whole = ops.image.affine_transform(
        ops.cast(images, "float32"), ops.stack([a0, a1, x, b0, b1, y, zeros, zeros], axis=1), fill_mode="nearest"
    )
    chips = middle(whole, size)

    def each(values: Any) -> Any:
        return values[:, None, None, None]

    if jitter.coarse:
        small = ops.image.resize(chips, (size // 2, size // 2), interpolation="bilinear", antialias=True)
        small = ops.image.resize(small, (size, size), interpolation="bilinear")
        chips = ops.where(each(draws[:, 11] < jitter.coarse), small, chips)
    if jitter.focus:
        chips = chips + each(spread(12, jitter.focus)) * (_blurred(chips) - chips)
    if jitter.grey and chips.shape[-1] == 3:
        grey = ops.sum(chips * np.array([0.299, 0.587, 0.114], np.float32), axis=-1, keepdims=True)
        kept = ops.clip(2 * (draws[:, 13] - jitter.grey) / (1 - jitter.grey), 0, 1)
        chips = grey + each(kept) * (chips - grey)
    if jitter.gamma:
        power = ops.exp(spread(14, math.log1p(jitter.gamma)))
        chips = 255 * (ops.clip(chips, 0, 255) / 255) ** each(power)
    if jitter.light:
        ramp = np.linspace(-1, 1, size, dtype=np.float32)
        across, down = each(spread(15, jitter.light)), each(spread(16, jitter.light))
        chips = chips * (1 + (across * ramp[None, None, :, None] + down * ramp[None, :, None, None]) / 2)
    factor = each(1 + spread(5, jitter.contrast))
    mean = ops.mean(chips, axis=(1, 2, 3), keepdims=True)
    chips = ops.clip((chips - mean) * factor + mean + each(spread(6, jitter.brightness * 255)), 0, 255)
    place = ops.arange(size, dtype="float32")[None]
    half = jitter.erase * size / 2
    row = ops.abs(place - draws[:, 7:8] * size) < half
    column = ops.abs(place - draws[:, 8:9] * size) < half
    return ops.where((row[:, :, None] & column[:, None, :])[..., None], 127.5, chips)


def _blurred(chips: Any) -> Any:
    """Pictures [n, size, size, c] by a kernel of some two pixels' width; beyond the edge it is mirrored."""
    from keras import ops

    for axis in (1, 2):
        size = chips.shape[axis]
        around = [(2, 2) if i == axis else (0, 0) for i in range(4)]
        padded = ops.pad(chips, around, mode="symmetric")
        parts = [padded[:, i : i + size] if axis == 1 else padded[:, :, i : i + size] for i in range(5)]
        chips = sum(weight * part for weight, part in zip((1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16), parts, strict=True))
    return chips
