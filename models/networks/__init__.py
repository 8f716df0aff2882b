"""Keras 3 builders of the networks in `models.zoo`, one module per family.

Each builder returns a new keras.Model with random weights. Its first input is `chip`: float32, bytes times `scale` plus
`offset`, which the zoo states for each network. Our networks return logits, regressions a number. The others end in a
softmax, as in the systems that they come from. Outputs are float32 even under a policy of mixed precision.
"""

from models.networks.ours import AGES, age_gender_resnet, emotion_resnet

__all__ = ["AGES", "age_gender_resnet", "emotion_resnet"]
