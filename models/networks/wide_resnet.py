"""Wide ResNet for age and gender.

Sources: S. Zagoruyko and N. Komodakis, Wide residual networks, BMVC 2016; age as an expected value over years: R.
Rothe, R. Timofte and L. Van Gool, DEX: Deep expectation of apparent age from a single image, ICCV workshops 2015.
Together: github.com/yu4u/age-gender-estimation.
"""

from __future__ import annotations

from typing import Any

from models.networks.ours import AGES
from schemas.errors import UsageError


def age_gender_wrn(*, size: int = 64, depth: int = 16, width: int = 8, decay: float = 5e-4) -> Any:
    """Age and gender by a pre-activation Wide ResNet; 24,463,856 weights at depth 16 and width 8.

    Args:
      size: width and height of the chip in pixels, a multiple of 4.
      depth: number of layers, 6·k + 4: k blocks in each of three groups.
      width: factor on the filters 16, 32, 64 of the groups.
      decay: L2 regularisation of all kernels.

    Returns:
      A keras.Model: [n, size, size, 3] → {"gender": probabilities [n, 2] of female and male, "age": probabilities
      [n, 101] of whole years, whose expected value is the age}.

    Raises:
      UsageError: there is no such depth.
    """
    import keras
    from keras import layers, regularizers

    if depth < 10 or depth % 6 != 4:
        raise UsageError(f"A Wide ResNet's depth is 10, 16, 22, 28 …, not {depth}.")

    kernel: dict[str, Any] = {"use_bias": False, "kernel_initializer": "he_normal"}

    def regularizer() -> Any:
        return regularizers.L2(decay) if decay else None

    def conv(x: Any, filters: int, kernel_size: int = 3, strides: int = 1) -> Any:
        return layers.Conv2D(
            filters, kernel_size, strides=strides, padding="same", kernel_regularizer=regularizer(), **kernel
        )(x)

    def normal(x: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization()(x))

    def block(x: Any, filters: int, strides: int) -> Any:
        activated = normal(x)
        y = conv(activated, filters, strides=strides)
        y = conv(normal(y), filters)
        shortcut = x if x.shape[-1] == filters else conv(activated, filters, 1, strides)
        return layers.Add()([y, shortcut])

    inputs = keras.Input((size, size, 3), name="chip")
    x = conv(inputs, 16)
    for filters, strides in ((16 * width, 1), (32 * width, 2), (64 * width, 2)):
        for i in range((depth - 4) // 6):
            x = block(x, filters, strides if i == 0 else 1)
    x = layers.AveragePooling2D(8, strides=1, padding="same")(normal(x))
    x = layers.Flatten()(x)
    outputs = {
        name: layers.Dense(
            classes, activation="softmax", dtype="float32", name=name, kernel_regularizer=regularizer(), **kernel
        )(x)
        for name, classes in (("gender", 2), ("age", AGES))
    }
    return keras.Model(inputs, outputs, name="age_gender_wrn")
