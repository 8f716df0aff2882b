"""Mix-up: training pictures are blends of two pictures, and so are their losses.

Losses are blended rather than labels. For a cross-entropy both are the same, and losses can also be blended for ages
and ranges, and where one of the pictures lacks a label.

Source: H. Zhang et al., mixup: Beyond empirical risk minimization, ICLR 2018. A blend takes the place of the picture
that has the larger share of it. Pairs are neighbours in the batch, which is in random order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def mix(chips: Any, targets: Any, weights: Any, share: Any) -> tuple[Any, Any]:
    """Blend each picture of a batch with the next.

    Args:
      chips: [n, size, size, c] float32.
      targets: [n, k] float32 each, in any nesting.
      weights: [n] float32 each, nested likewise; 0 where there is no label.
      share: [n] float32, of each picture in its blend, from `shares`.

    Returns:
      The blends; and targets [n, 2, k + 1]: of both pictures, each with its factor behind it, as `mixed_loss` takes
      them. The weights of the first pictures stay those of the blends.
    """
    from keras import ops, tree

    def next_of(values: Any) -> Any:
        return ops.roll(values, 1, axis=0)

    def pair(target: Any, weight: Any) -> Any:
        factors = ops.stack([share, (1 - share) * next_of(weight)], axis=1)
        return ops.concatenate([ops.stack([target, next_of(target)], axis=1), factors[..., None]], axis=2)

    of_first = share[:, None, None, None]
    return of_first * chips + (1 - of_first) * next_of(chips), tree.map_structure(pair, targets, weights)


def shares(one: Any, other: Any) -> Any:
    """How much of a blend its first picture is, at least a half; [n].

    Args:
      one: [n] float32 by chance, of the gamma distribution with mix-up's parameter.
      other: likewise; the larger over the sum of both is of the beta distribution that the source has.
    """
    from keras import ops

    larger, total = ops.maximum(one, other), one + other
    # Both may be too small to be told from 0.
    return ops.where(total > 0, larger / ops.where(total > 0, total, 1.0), 1.0)


def mixed_loss(loss: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A loss for blends; of targets [n, k] it stays what it is."""

    def of_both(target: Any, raw: Any) -> Any:
        if len(target.shape) == 2:
            return loss(target, raw)
        return sum(target[:, i, -1] * loss(target[:, i, :-1], raw) for i in range(2))

    return of_both


def first_metric(metric: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A metric of blends: of the first picture's label, as if the other were not there."""

    def of_first(target: Any, raw: Any) -> Any:
        return metric(target if len(target.shape) == 2 else target[:, 0, :-1], raw)

    of_first.__name__ = metric.__name__
    return of_first
