"""What the pipeline and the training share about faces: landmarks, crop geometry, networks and trained bundles.

A bundle is a folder of `models/bundles/` with the weights, a card and a checksum. A model is trained on exactly what it
will see, so that everything between a frame and a network's input (five landmarks, alignment, the chip's size and
channels, scaling) is defined here and nowhere else.

May import `schemas`; knows nothing of `transforms`, `training`, `runners` and `pipelines`. Importing `models` does not
import TensorFlow: it is loaded with the first bundle.
"""
