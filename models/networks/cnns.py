"""Plain convolutional networks of tutorials and student projects, rebuilt layer by layer.

None of them has a paper. Choices that they leave open and we made are marked "ours" in the docstrings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Second input of `emotion_hog_landmarks`, see `models.features`.
FEATURES = 208


def _softmax(x: Any, classes: int, name: str) -> Any:
    from keras import layers

    return layers.Dense(classes, activation="softmax", dtype="float32", name=name)(x)


def emotion_cnn() -> Any:
    """Seven emotions; 2,489,095 weights.

    The first two layers are those of a network for FER2013 that many tutorials share
    (github.com/atulapra/Emotion-detection). It is not known which of them has the last layers as here.

    Returns:
      A keras.Model: [n, 48, 48, 1] → probabilities [n, 7].
    """
    import keras
    from keras import layers

    inputs = keras.Input((48, 48, 1), name="chip")
    x = layers.Conv2D(32, 3, activation="relu")(inputs)
    for filters in (64, 128, 256):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(0.1)(x)
    x = layers.Dense(512, activation="relu")(layers.Flatten()(x))
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, _softmax(x, 7, "emotion"), name="emotion_cnn")


def _four_blocks(size: int, classes: int, dropouts: Sequence[float], *, output: str, name: str) -> Any:
    """Four blocks of convolution, dropout, ReLU and pooling, then a dense layer; the body of two networks below."""
    import keras
    from keras import layers

    inputs = x = keras.Input((size, size, 1), name="chip")
    for filters, dropout in zip((32, 64, 128, 256), dropouts, strict=False):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.Dropout(dropout)(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(128)(layers.Flatten()(x))
    x = layers.Dropout(dropouts[-1])(x)
    return keras.Model(inputs, _softmax(x, classes, output), name=name)


def emotion_cnn3(*, dropouts: Sequence[float] = (0.1, 0.1, 0.2, 0.2, 0.4)) -> Any:
    """Three emotions; 683,267 weights.

    Args:
      dropouts: shares dropped in the four blocks and after the dense layer. Ours.

    Returns:
      A keras.Model: [n, 48, 48, 1] → probabilities [n, 3], of happy, sad, neutral. These classes are ours.
    """
    return _four_blocks(48, 3, dropouts, output="emotion", name="emotion_cnn3")


def gender_cnn(*, dropouts: Sequence[float] = (0.1, 0.1, 0.2, 0.2, 0.4)) -> Any:
    """Gender by the body of `emotion_cnn3` at 100 × 100; 1,567,874 weights.

    Args:
      dropouts: shares dropped in the four blocks and after the dense layer. Ours.

    Returns:
      A keras.Model: [n, 100, 100, 1] → probabilities [n, 2], of male and female. Their order is ours, UTKFace's.
    """
    return _four_blocks(100, 2, dropouts, output="gender", name="gender_cnn")


def age_cnn7() -> Any:
    """Seven ranges of age; 422,695 weights.

    Known from projects that train it on UTKFace and the folder of ages `facial-age` in grey, Adam, 60 epochs.

    Returns:
      A keras.Model: [n, 200, 200, 1] → probabilities [n, 7]. The ranges' edges are ours (`models.zoo.AGE_CNN7`).
    """
    import keras
    from keras import layers

    inputs = x = keras.Input((200, 200, 1), name="chip")
    for filters in (32, 64, 128, 256):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.AveragePooling2D(2)(x)
    x = layers.Dense(132, activation="relu")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, _softmax(x, 7, "age"), name="age_cnn7")


def emotion_3block() -> Any:
    """Three emotions; 2,395,075 weights.

    Source: github.com/greatsharma/Facial_Emotion_Recognition (FER2013's classes 3, 4 and 6).

    Returns:
      A keras.Model: [n, 48, 48, 1] → probabilities [n, 3], of happy, sad, neutral.
    """
    import keras
    from keras import layers

    inputs = x = keras.Input((48, 48, 1), name="chip")
    for filters, kernel, dropout in ((64, 5, 0.4), (128, 3, 0.4), (256, 3, 0.5)):
        for _ in range(2):
            x = layers.Conv2D(filters, kernel, padding="same", activation="elu", kernel_initializer="he_normal")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(128, activation="elu", kernel_initializer="he_normal")(layers.Flatten()(x))
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.6)(x)
    return keras.Model(inputs, _softmax(x, 3, "emotion"), name="emotion_3block")


def emotion_hog_landmarks(*, filters: Sequence[int] = (32, 64, 128, 256), dropout: float = 0.4) -> Any:
    """Seven emotions from the picture, its gradients and its landmarks; 2,907,911 weights.

    Source: after github.com/amineHorseman/facial-expression-recognition-using-cnn (model B), which has three larger
    convolutions for the picture.

    Args:
      filters: filters of the four 3 × 3 convolutions, each followed by max-pooling by 2. Ours.
      dropout: share dropped after the first dense layer of each input. Ours.

    Returns:
      A keras.Model: chip [n, 48, 48, 1] and hog_landmarks [n, 208] (`models.features.hog_landmarks`) → probabilities
      [n, 7].
    """
    import keras
    from keras import layers

    chip = x = keras.Input((48, 48, 1), name="chip")
    for count in filters:
        x = layers.Conv2D(count, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dense(1024, activation="relu")(layers.Flatten()(x))
    x = layers.Dense(128, activation="relu")(layers.Dropout(dropout)(x))
    features = keras.Input((FEATURES,), name="hog_landmarks")
    y = layers.Dropout(dropout)(layers.Dense(128, activation="relu")(features))
    both = layers.Concatenate()([x, y])
    return keras.Model([chip, features], _softmax(both, 7, "emotion"), name="emotion_hog_landmarks")
