"""The zoo: every network that can be trained by name, with everything for its card except the results of training.

Numbers of parameters are written down here, so that no network is built or downloaded to look one up. A test compares
them with the built networks.

Networks of older systems get the face crops that these systems describe. Where they say nothing, faces are aligned as
for our own networks, which is also how the pictures of FER2013 and UTKFace look.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from models.cards import Output
from models.geometry import AGE_GENDER, EMOTION, BoxGeometry, Channels, ChipGeometry, Geometry
from models.networks import cnns, ours, trunks, wide_resnet, xception
from schemas.errors import UsageError
from schemas.tables import EMOTIONS

Ranges = tuple[tuple[float, float], ...]

# First and last year of each class, inclusive.
AGE_CNN7: Ranges = ((1, 2), (3, 9), (10, 20), (21, 27), (28, 45), (46, 65), (66, 116))
# "46 and over" ends at 100, the oldest age of all our networks.
AGE_VGG16: Ranges = ((1, 15), (16, 25), (26, 35), (36, 45), (46, 100))

_THREE = ("happy", "sad", "neutral")


@dataclasses.dataclass(frozen=True)
class Training:
    """How a network was trained originally or, if that is not known, our choice; the defaults of its recipe.

    Attributes:
      epochs: largest number of epochs.
      optimizer: "sgd" has Nesterov momentum 0.9.
      learning_rate: learning rate at the start.
      schedule: how the learning rate falls. "constant": not at all; "plateau": when the validation loss no longer
        improves; "steps": to a fifth at a quarter, half and three quarters of the epochs; "cosine": to 0.
      batch: pictures per step.
      patience: epochs without a better validation loss, after which training stops early; None: train all epochs.
    """

    epochs: int
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "plateau", "steps", "cosine"] = "constant"
    batch: int = 64
    patience: int | None = None


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of the zoo.

    Attributes:
      name: name in commands and lists.
      description: description in one sentence.
      source: paper or project.
      build: builder; its keyword arguments are the network's options.
      parameters: number of weights of `build()`, including those that are not trained.
      geometry: how chips are cut for it.
      outputs: meaning of its outputs, uncalibrated.
      training: how it is trained by default.
      scale: bytes of the chip are multiplied by this.
      offset: this is added after the multiplication.
      second_input: name of the second input and its length; None for a network that takes only the chip.
    """

    name: str
    description: str
    source: str
    build: Callable[..., Any]
    parameters: int
    geometry: Geometry
    outputs: tuple[Output, ...]
    training: Training
    scale: float = 1.0
    offset: float = 0.0
    second_input: tuple[Literal["hog_landmarks"], int] | None = None

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the inputs by name, without the batch."""
        chip = (self.geometry.size, self.geometry.size, 1 if self.geometry.channels == "grey" else 3)
        return {"chip": chip} | ({self.second_input[0]: self.second_input[1:]} if self.second_input else {})

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes that it predicts: emotion, age, gender."""
        return tuple(output.attribute for output in self.outputs)

    def card_fields(self) -> dict[str, Any]:
        """The fields of `models.cards.Card` that do not depend on training; see `models.bundle.write_bundle`."""
        return {
            "description": self.description,
            "geometry": self.geometry,
            "scale": self.scale,
            "offset": self.offset,
            "second_input": self.second_input and self.second_input[0],
            "outputs": self.outputs,
            "architecture": self.name,
        }


def find_network(name: str) -> Network:
    """A network of the zoo by its name.

    Raises:
      UsageError: there is no network of this name.
    """
    if name not in ZOO:
        raise UsageError(f"There is no network {name!r} in the zoo; it has {', '.join(ZOO)}.")
    return ZOO[name]


def _emotion(classes: tuple[str, ...], kind: Literal["logits", "probabilities"] = "probabilities") -> tuple[Output]:
    return (Output(attribute="emotion", kind=kind, classes=classes),)


def _face(size: int, channels: Channels) -> ChipGeometry:
    return ChipGeometry(size, AGE_GENDER.points, channels)


_ALL = (
    Network(
        name="emotion-resnet",
        description="Seven emotions from a grey chip, by a small residual network: the bundles that come with facelog.",
        source="ours; K. He et al., Deep residual learning for image recognition, CVPR 2016",
        build=ours.emotion_resnet,
        parameters=2_783_527,
        geometry=EMOTION,
        outputs=_emotion(EMOTIONS, "logits"),
        training=Training(epochs=56, optimizer="sgd", learning_rate=0.08, schedule="cosine", batch=96),
    ),
    Network(
        name="age-gender-resnet",
        description="Age over years and gender from an RGB chip, by a small residual network: the bundle that comes "
        "with facelog.",
        source="ours; K. He et al., Deep residual learning for image recognition, CVPR 2016",
        build=ours.age_gender_resnet,
        parameters=2_808_518,
        geometry=AGE_GENDER,
        outputs=(
            Output(attribute="age", source="age", kind="logits", tails=0.25),
            Output(attribute="gender", source="gender", kind="logits", classes=("female",)),
        ),
        training=Training(epochs=28, optimizer="sgd", learning_rate=0.06, schedule="cosine", batch=128),
    ),
    Network(
        name="emotion-cnn",
        description="Seven emotions by four convolutions and a dense layer of 512.",
        source="tutorials on FER2013; no paper",
        build=cnns.emotion_cnn,
        parameters=2_489_095,
        geometry=EMOTION,
        outputs=_emotion(EMOTIONS),
        training=Training(epochs=50, schedule="plateau", patience=8),
        scale=1 / 255,
    ),
    Network(
        name="emotion-cnn3",
        description="Happy, sad or neutral by four convolutions, one of three single networks of an older system.",
        source="student projects; no paper; dropout rates and classes ours",
        build=cnns.emotion_cnn3,
        parameters=683_267,
        geometry=EMOTION,
        outputs=_emotion(_THREE),
        training=Training(epochs=60, schedule="plateau", patience=10),
        scale=1 / 255,
    ),
    Network(
        name="gender-cnn",
        description="Gender by four convolutions, one of three single networks of an older system.",
        source="student projects; no paper; dropout rates and the classes' order ours",
        build=cnns.gender_cnn,
        parameters=1_567_874,
        geometry=_face(100, "grey"),
        outputs=(Output(attribute="gender", kind="probabilities", classes=("male", "female")),),
        training=Training(epochs=30, schedule="plateau", patience=6),
        scale=1 / 255,
    ),
    Network(
        name="age-cnn7",
        description="Seven ranges of age by four convolutions, one of three single networks of an older system.",
        source="projects on UTKFace and facial-age; no paper; the ranges' edges and the scaling ours",
        build=cnns.age_cnn7,
        parameters=422_695,
        geometry=_face(200, "grey"),
        outputs=(Output(attribute="age", kind="probabilities", ranges=AGE_CNN7),),
        training=Training(epochs=60, batch=128, schedule="plateau", patience=10),
        scale=1 / 255,
    ),
    Network(
        name="emotion-3block",
        description="Happy, sad or neutral by three blocks of two convolutions with ELU and batch normalisation.",
        source="github.com/greatsharma/Facial_Emotion_Recognition",
        build=cnns.emotion_3block,
        parameters=2_395_075,
        geometry=EMOTION,
        outputs=_emotion(_THREE),
        training=Training(epochs=100, schedule="plateau", batch=32, patience=11),
        scale=1 / 255,
    ),
    Network(
        name="emotion-hog-landmarks",
        description="Seven emotions from the chip, its oriented gradients and its 68 landmarks.",
        source="github.com/amineHorseman/facial-expression-recognition-using-cnn; sizes ours",
        build=cnns.emotion_hog_landmarks,
        parameters=2_907_911,
        geometry=EMOTION,
        outputs=_emotion(EMOTIONS),
        training=Training(epochs=60, batch=128, schedule="plateau", patience=10),
        scale=1 / 255,
        second_input=("hog_landmarks", cnns.FEATURES),
    ),
    Network(
        name="mini-xception",
        description="Seven emotions by separable convolutions with shortcuts, for real time.",
        source="O. Arriaga et al., Real-time convolutional neural networks for emotion and gender classification, "
        "2017; github.com/oarriaga/face_classification",
        build=xception.mini_xception,
        parameters=58_423,
        geometry=BoxGeometry(64, 0.0, "grey"),
        outputs=_emotion(EMOTIONS),
        training=Training(epochs=110, schedule="plateau", batch=32, patience=50),
        scale=2 / 255,
        offset=-1.0,
    ),
    Network(
        name="age-gender-wrn",
        description="Age as the expected value over 0 to 100 years, and gender, by a Wide ResNet 16-8.",
        source="S. Zagoruyko and N. Komodakis, Wide residual networks, BMVC 2016; R. Rothe et al., DEX, ICCV workshops "
        "2015; github.com/yu4u/age-gender-estimation",
        build=wide_resnet.age_gender_wrn,
        parameters=24_463_856,
        geometry=BoxGeometry(64, 0.4, "bgr"),
        outputs=(
            Output(attribute="age", source="age", kind="probabilities"),
            Output(attribute="gender", source="gender", kind="probabilities", classes=("female", "male")),
        ),
        training=Training(epochs=30, optimizer="sgd", learning_rate=0.1, schedule="steps", batch=32),
    ),
    Network(
        name="age-resnet50",
        description="Age by one linear output on a frozen ResNet50.",
        source="K. He et al., Deep residual learning for image recognition, CVPR 2016; keras.applications",
        build=trunks.age_resnet50,
        parameters=23_589_761,
        geometry=_face(224, "bgr"),
        # The published MAE of about 7 years is that of a normal distribution with this deviation; training measures it.
        outputs=(Output(attribute="age", kind="years", std_years=8.8),),
        training=Training(epochs=30, batch=32, patience=5),
    ),
    Network(
        name="age-vgg16",
        description="Five ranges of age on VGG16.",
        source="K. Simonyan and A. Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR "
        "2015; keras.applications; head and input size ours",
        build=trunks.age_vgg16,
        parameters=14_847_301,
        geometry=_face(128, "bgr"),
        outputs=(Output(attribute="age", kind="probabilities", ranges=AGE_VGG16),),
        training=Training(epochs=20, batch=32, patience=5),
    ),
    Network(
        name="gender-inception",
        description="Gender on InceptionV3.",
        source="C. Szegedy et al., Rethinking the Inception architecture for computer vision, CVPR 2016; "
        "keras.applications; head and input size ours",
        build=trunks.gender_inception,
        parameters=22_327_842,
        geometry=_face(139, "rgb"),
        outputs=(Output(attribute="gender", kind="probabilities", classes=("male", "female")),),
        training=Training(epochs=20, batch=32, patience=5),
    ),
)

ZOO = {network.name: network for network in _ALL}
