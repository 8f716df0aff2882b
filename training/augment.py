"""Random changes to training pictures, as TensorFlow operations on whole batches.

One projective transform does crop, turn, scale, shift and mirror at once: pictures are interpolated only once. Its
ranges stand for what the pipeline will meet: landmarks a little off, light of any kind.
"""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Jitter:
    """How far training pictures are changed; every draw is uniform.

    Attributes:
      degrees: turn, to either side.
      scale: smallest and largest size of the face, as a multiple.
      shift: to each side, as a share of the chip.
      contrast: factor on the difference from the mean, 1 ± this.
      brightness: added, ± this share of the full range.
      erase: side of the square that is greyed out, as a share of the chip; 0 for none.
      mixup: parameter of `training.mixup`, by which pictures are blends of two; 0 for none.
    """

    degrees: float = 10.0
    scale: tuple[float, float] = (0.88, 1.12)
    shift: float = 0.07
    contrast: float = 0.3
    brightness: float = 0.12
    erase: float = 0.25
    mixup: float = 0.0


def augment(images: Any, size: int, jitter: Jitter) -> Any:
    """A changed chip of each picture.

    Args:
      images: [n, S, S, c] uint8; the chip is its middle part, what lies around it is the margin for jitter.
      size: width and height of the chip, at most S.
      jitter: how far.

    Returns:
      [n, size, size, c] float32 in 0 … 255.
    """
    import math

    import tensorflow as tf

    n, channels = tf.shape(images)[0], images.shape[-1]

    def draw(low: float, high: float) -> Any:
        return tf.random.uniform((n,), low, high)

    angle, scale = draw(-1, 1) * math.radians(jitter.degrees), draw(*jitter.scale)
    mirror = tf.where(draw(-1, 1) < 0, -1.0, 1.0)
    # The operation wants output → input: p ↦ A·(p − c) + C + t, with the middles c of the chip and C of the picture.
    a, b = tf.cos(angle) / scale, tf.sin(angle) / scale
    middle, centre = (size - 1) / 2, (images.shape[1] - 1) / 2
    reach = jitter.shift * size
    x = centre + draw(-reach, reach) - (a * mirror - b) * middle
    y = centre + draw(-reach, reach) - (b * mirror + a) * middle
    zeros = tf.zeros_like(a)
    chips = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([a * mirror, -b, x, b * mirror, a, y, zeros, zeros], axis=1),
        output_shape=(size, size),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    chips = tf.ensure_shape(chips, (None, size, size, channels))
    factor = 1 + draw(-jitter.contrast, jitter.contrast)[:, None, None, None]
    mean = tf.reduce_mean(chips, axis=(1, 2, 3), keepdims=True)
    shift = draw(-jitter.brightness, jitter.brightness)[:, None, None, None] * 255
    chips = tf.clip_by_value((chips - mean) * factor + mean + shift, 0, 255)
    place = tf.range(size, dtype=tf.float32)
    half = jitter.erase * size / 2
    row = tf.abs(place[None] - draw(0, size)[:, None]) < half
    column = tf.abs(place[None] - draw(0, size)[:, None]) < half
    return tf.where((row[:, :, None] & column[:, None, :])[..., None], 127.5, chips)
