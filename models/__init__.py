"""What pipeline and training share about faces: detectors, landmarks, crop geometry, networks and trained bundles.

A bundle is a folder of `models/bundles/` with the weights, a card and a checksum. A model sees the same input in
training and in the pipeline, because everything between a frame and a network's input (five landmarks, alignment, the
chip's size and channels, scaling) is defined here and nowhere else.

May import `schemas`; knows nothing of `transforms`, `training`, `runners` and `pipelines`. Importing `models` does not
import TensorFlow: only what trains, converts or runs a network on a GPU does.
"""
