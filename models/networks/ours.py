"""Our own networks: small residual networks, built with Keras 3.

They take chips as float32 in 0 … 255, which they scale themselves, and return logits. Softmax and calibration are part
of the bundle.

Source: K. He et al., Deep residual learning for image recognition, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Whole years 0 … 100; older people count as 100.
AGES = 101


def _conv(x: Any, filters: int, *, kernel: int = 3, stride: int = 1, decay: float) -> Any:
    from keras import layers, regularizers

    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=regularizers.L2(decay) if decay else None,
    )(x)
    return layers.BatchNormalization()(x)


def _block(x: Any, filters: int, *, stride: int, decay: float) -> Any:
    """Two 3 × 3 convolutions and a shortcut, which is projected where the shape changes."""
    from keras import layers

    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = layers.AveragePooling2D(stride)(x) if stride != 1 else x
        shortcut = _conv(shortcut, filters, kernel=1, decay=decay)
    x = layers.ReLU()(_conv(x, filters, stride=stride, decay=decay))
    x = _conv(x, filters, decay=decay)
    return layers.ReLU()(layers.Add()([x, shortcut]))


def _features(inputs: Any, stem_stride: int, widths: Sequence[int], blocks: Sequence[int], decay: float) -> Any:
    """[n, H, W, c] in 0 … 255 → [n, widths[-1]]: a stem, stages that each halve the resolution, and the mean."""
    from keras import layers

    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = layers.ReLU()(_conv(x, widths[0], stride=stem_stride, decay=decay))
    for filters, count in zip(widths, blocks, strict=True):
        for i in range(count):
            x = _block(x, filters, stride=2 if i == 0 else 1, decay=decay)
    return layers.GlobalAveragePooling2D()(x)


def emotion_resnet(
    *,
    size: int = 48,
    classes: int = 7,
    widths: Sequence[int] = (32, 64, 128, 256),
    blocks: Sequence[int] = (1, 2, 2, 2),
    dropout: float = 0.4,
    decay: float = 0.0,
) -> Any:
    """Emotion from a grey chip; 2.8 million weights.

    Args:
      size: width and height of the chip in pixels.
      classes: number of emotions.
      widths: filters of each stage.
      blocks: residual blocks of each stage.
      dropout: share of the features dropped in training.
      decay: L2 regularisation of convolutions.

    Returns:
      A keras.Model: [n, size, size, 1] float32 in 0 … 255 → logits [n, classes] float32.
    """
    import keras
    from keras import layers

    inputs = keras.Input((size, size, 1), name="chip")
    x = layers.Dropout(dropout)(_features(inputs, 1, widths, blocks, decay))
    return keras.Model(inputs, layers.Dense(classes, dtype="float32", name="emotion")(x), name="emotion_resnet")


def age_gender_resnet(
    *,
    size: int = 64,
    widths: Sequence[int] = (32, 64, 128, 256),
    blocks: Sequence[int] = (1, 2, 2, 2),
    dropout: float = 0.3,
    decay: float = 0.0,
) -> Any:
    """Age and gender from an RGB chip; 2.8 million weights.

    Args:
      size: width and height of the chip in pixels.
      widths: filters of each stage.
      blocks: residual blocks of each stage.
      dropout: share of the features dropped in training.
      decay: L2 regularisation of convolutions.

    Returns:
      A keras.Model: [n, size, size, 3] float32 in 0 … 255, RGB → {"age": logits [n, 101] over whole years, "gender":
      logit [n, 1] of female}, float32.
    """
    import keras
    from keras import layers

    inputs = keras.Input((size, size, 3), name="chip")
    x = layers.Dropout(dropout)(_features(inputs, 2, widths, blocks, decay))
    outputs = {
        "age": layers.Dense(AGES, dtype="float32", name="age")(x),
        "gender": layers.Dense(1, dtype="float32", name="gender")(x),
    }
    return keras.Model(inputs, outputs, name="age_gender_resnet")
