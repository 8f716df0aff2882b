"""The networks that `models.zoo` knows, as Keras 3 builders, one module for each family.

Each builder returns a new keras.Model with random weights. Its first input is named `chip`: float32, bytes times
`scale` plus `offset` as the zoo says for the network. Ours give logits and a regression its number; the others end in
softmax, as the systems did that they come from. Outputs are float32 also where a policy of mixed precision is set.
"""

from models.networks.ours import AGES, age_gender_resnet, emotion_resnet

__all__ = ["AGES", "age_gender_resnet", "emotion_resnet"]
