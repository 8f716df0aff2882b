"""Networks on a trunk from keras.applications that was trained on ImageNet.

The argument `weights` of each is for the trunk: "imagenet" (Keras downloads the weights once), the path of a file of
weights without the top layers, or None for random weights. Preprocessing for ImageNet is part of the networks.

Sources: K. He et al., Deep residual learning for image recognition, CVPR 2016; K. Simonyan and A. Zisserman, Very deep
convolutional networks for large-scale image recognition, ICLR 2015; C. Szegedy et al., Rethinking the Inception
architecture for computer vision, CVPR 2016.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.errors import BundleError

# Means of blue, green and red in ImageNet. The Caffe weights of ResNet50 and VGG16 expect inputs without them.
_CAFFE_MEANS = (103.939, 116.779, 123.68)


def age_resnet50(*, size: int = 224, weights: str | Path | None = "imagenet", frozen: bool = True) -> Any:
    """Age by one linear output on ResNet50; 23,589,761 weights, 2,049 of them trained.

    Args:
      size: width and height of the chip in pixels. Ours: the trunk's own.
      weights: weights of the trunk, see above.
      frozen: whether training leaves the trunk's weights unchanged.

    Returns:
      A keras.Model: [n, size, size, 3] float32 in 0 … 255, BGR → years [n, 1].

    Raises:
      BundleError: the weights cannot be downloaded or found, or they are for another trunk.
    """
    from keras import layers

    inputs, x = _features("ResNet50", size, weights, frozen)
    return _model(inputs, layers.Dense(1, dtype="float32", name="age")(x), "age_resnet50")


def age_vgg16(*, size: int = 128, weights: str | Path | None = "imagenet", frozen: bool = True) -> Any:
    """Five ranges of age on VGG16; 14,847,301 weights, 132,613 of them in the head.

    Args:
      size: width and height of the chip in pixels. Ours: at 224 it costs three times as much.
      weights: weights of the trunk, see above.
      frozen: whether training leaves the trunk's weights unchanged.

    Returns:
      A keras.Model: [n, size, size, 3] float32 in 0 … 255, BGR → probabilities [n, 5] (`models.zoo.AGE_VGG16`). The
      head, a global average and 256 ReLU, is ours.

    Raises:
      BundleError: the weights cannot be downloaded or found, or they are for another trunk.
    """
    inputs, x = _features("VGG16", size, weights, frozen)
    return _model(inputs, _head(x, 5, "age"), "age_vgg16")


def gender_inception(*, size: int = 139, weights: str | Path | None = "imagenet", frozen: bool = True) -> Any:
    """Gender on InceptionV3; 22,327,842 weights, 525,058 of them in the head.

    Args:
      size: width and height of the chip in pixels, 75 or more. Ours: 139, where the last feature maps are 3 × 3.
      weights: weights of the trunk, see above.
      frozen: whether training leaves the trunk's weights unchanged.

    Returns:
      A keras.Model: [n, size, size, 3] float32 in 0 … 255, RGB → probabilities [n, 2], of male and female. The head, a
      global average and 256 ReLU, is ours.

    Raises:
      BundleError: the weights cannot be downloaded or found, or they are for another trunk.
    """
    inputs, x = _features("InceptionV3", size, weights, frozen)
    return _model(inputs, _head(x, 2, "gender"), "gender_inception")


def _features(trunk: str, size: int, weights: str | Path | None, frozen: bool) -> tuple[Any, Any]:
    """The input, and the trunk's features of it as ImageNet's weights expect to see it."""
    import keras
    from keras import layers

    inputs = keras.Input((size, size, 3), name="chip")
    if trunk == "InceptionV3":
        x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    else:
        x = layers.Rescaling((1.0, 1.0, 1.0), offset=tuple(-mean for mean in _CAFFE_MEANS))(inputs)
    body = _trunk(trunk, size, weights)
    body.trainable = not frozen
    return inputs, body(x)


def _trunk(name: str, size: int, weights: str | Path | None) -> Any:
    import keras

    if weights not in (None, "imagenet") and not Path(str(weights)).is_file():
        raise BundleError(f"There is no weights file {weights}; give imagenet, a file's path, or none.")
    build = getattr(keras.applications, name)
    try:
        return build(
            include_top=False,
            weights=None if weights is None else str(weights),
            input_shape=(size, size, 3),
            pooling="avg",
            name="trunk",
        )
    except Exception as error:  # Keras raises plain Exception where a download fails
        if weights == "imagenet":
            raise BundleError(
                f"ImageNet's weights for {name} cannot be downloaded ({_first_line(error)}); download them on another "
                "machine and give their path, or give none for random ones."
            ) from error
        raise BundleError(
            f"{weights} does not hold weights for {name} without its top ({_first_line(error)})."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _head(x: Any, classes: int, name: str) -> Any:
    from keras import layers

    x = layers.Dropout(0.5)(layers.Dense(256, activation="relu")(x))
    return layers.Dense(classes, activation="softmax", dtype="float32", name=name)(x)


def _model(inputs: Any, output: Any, name: str) -> Any:
    import keras

    return keras.Model(inputs, output, name=name)
