"""Mini-Xception: separable convolutions with shortcuts, for emotions in real time.

Sources: O. Arriaga, P. Plöger and M. Valdenegro, Real-time convolutional neural networks for emotion and gender
classification, 2017 (github.com/oarriaga/face_classification); F. Chollet, Xception, CVPR 2017.
"""

from __future__ import annotations

from typing import Any


def mini_xception(*, size: int = 64, decay: float = 0.01) -> Any:
    """Seven emotions; 58,423 weights at any size.

    Args:
      size: width and height of the chip in pixels; 64 and 48 are common.
      decay: L2 regularisation of all convolutions but the shortcuts and the last.

    Returns:
      A keras.Model: [n, size, size, 1] → probabilities [n, 7].
    """
    import keras
    from keras import layers, regularizers

    def regularizer() -> Any:
        return regularizers.L2(decay) if decay else None

    def separable(x: Any, filters: int) -> Any:
        x = layers.SeparableConv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            depthwise_regularizer=regularizer(),
            pointwise_regularizer=regularizer(),
        )(x)
        return layers.BatchNormalization()(x)

    inputs = x = keras.Input((size, size, 1), name="chip")
    for _ in range(2):
        x = layers.Conv2D(8, 3, use_bias=False, kernel_regularizer=regularizer())(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    for filters in (16, 32, 64, 128):
        # This replaces a 1 × 1 convolution with stride 2. For 8 input channels, its gradient in oneDNN corrupts memory
        # (seen with TensorFlow 2.21 and AVX-512).
        shortcut = layers.Conv2D(filters, 1, padding="same", use_bias=False)(x[:, ::2, ::2])
        shortcut = layers.BatchNormalization()(shortcut)
        x = separable(layers.ReLU()(separable(x, filters)), filters)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.Add()([x, shortcut])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(7, 3, padding="same")(x))
    return keras.Model(inputs, layers.Softmax(dtype="float32", name="emotion")(x), name="mini_xception")
