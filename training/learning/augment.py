"""Random changes to training pictures, as Keras operations on whole batches.

One projective transform does crop, turn, scale, shift and mirror at once: pictures are interpolated only once. Its
ranges stand for what the pipeline will meet: landmarks a little off, light of any kind. Random numbers come from the
caller, because each backend of Keras has its own generator.
"""

from __future__ import annotations

from typing import Any

from training.recipe import Jitter

DRAWS = 9
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
    # The operation wants output → input: p ↦ A·(p − c) + c + t, with the middle c.
    a, b, c = ops.cos(angle) / scale, ops.sin(angle) / scale, (images.shape[1] - 1) / 2
    x = c + spread(3, jitter.shift * size) - (a * mirror - b) * c
    y = c + spread(4, jitter.shift * size) - (b * mirror + a) * c
    zeros = ops.zeros_like(a)
    whole = ops.image.affine_transform(
        ops.cast(images, "float32"),
        ops.stack([a * mirror, -b, x, b * mirror, a, y, zeros, zeros], axis=1),
        fill_mode="nearest",
    )
    chips = middle(whole, size)
    factor = 1 + spread(5, jitter.contrast)[:, None, None, None]
    mean = ops.mean(chips, axis=(1, 2, 3), keepdims=True)
    shift = spread(6, jitter.brightness * 255)[:, None, None, None]
    chips = ops.clip((chips - mean) * factor + mean + shift, 0, 255)
    place = ops.arange(size, dtype="float32")[None]
    half = jitter.erase * size / 2
    row = ops.abs(place - draws[:, 7:8] * size) < half
    column = ops.abs(place - draws[:, 8:9] * size) < half
    return ops.where((row[:, :, None] & column[:, None, :])[..., None], 127.5, chips)
