"""Fills what is black, white or of one grey around a face that was cut out, so that its edge is no feature.

Some sets of performers are handed out as ovals on a uniform ground, and rotated pictures have black corners. A network
would learn the edge as a mark of that set, and with it the set's expressions.
"""

from __future__ import annotations

import cv2
import numpy as np

_TOLERANCE = 4
_EXTREME = 12
"""Grey values up to this count as black, and as far from 255 as white."""
_EVEN = 1.0
"""Standard deviation of the grey values up to which another ground is uniform."""
_LEAST, _MOST = 0.02, 0.6
"""Shares of a chip that may be surroundings."""
_SIGMAS = (16.0, 8.0, 4.0, 2.0)


def fill_surroundings(chip: np.ndarray) -> np.ndarray:
    """A chip whose uniform surroundings are filled with a blur of the face and its noise.

    Args:
      chip: [S, S] or [S, S, 3] uint8.

    Returns:
      As `chip`; the same array where there are no such surroundings.
    """
    around = find_surroundings(chip)
    if not _LEAST <= around.mean() <= _MOST:
        return chip
    # The edge of a cut-out is blurred by one pixel or two.
    inside = (cv2.dilate(around.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0).astype(np.float32)
    pixels = chip.astype(np.float32).reshape(*chip.shape[:2], -1)
    filled = np.broadcast_to(pixels[inside > 0].mean(axis=0), pixels.shape)
    for sigma in _SIGMAS:
        weight = cv2.GaussianBlur(inside, (0, 0), sigma)[..., None]
        blurred = cv2.GaussianBlur(pixels * inside[..., None], (0, 0), sigma).reshape(pixels.shape)
        near = np.clip(2 * weight, 0, 1)
        filled = near * blurred / np.maximum(weight, 1e-6) + (1 - near) * filled
    smooth = cv2.GaussianBlur(pixels, (0, 0), 1.0).reshape(pixels.shape)
    noise = (pixels - smooth)[cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0]
    chance = np.random.default_rng(int(chip.sum()))
    spread = float(noise.std()) if noise.size else 0.0
    filled = filled + chance.normal(0, spread, (*chip.shape[:2], 1))
    result = np.where(inside[..., None] > 0, pixels, np.clip(filled, 0, 255))
    return result.round().astype(np.uint8).reshape(chip.shape)


def find_surroundings(chip: np.ndarray) -> np.ndarray:
    """[S, S] bool, the uniform grounds that reach a corner of the chip."""
    grey = chip if chip.ndim == 2 else cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    around = np.zeros(grey.shape, bool)
    for corner in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if around[corner[1], corner[0]]:
            continue
        mask = np.zeros((height + 2, width + 2), np.uint8)
        flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (1 << 8)
        cv2.floodFill(grey.copy(), mask, corner, 0, _TOLERANCE, _TOLERANCE, flags)
        ground = mask[1:-1, 1:-1] > 0
        shade = float(grey[ground].mean())
        if ground.mean() >= _LEAST / 2 and (min(shade, 255 - shade) <= _EXTREME or grey[ground].std() <= _EVEN):
            around |= ground
    return around
