"""Training, from data sets to bundles: readers, augmentation, the training loop, calibration, evaluation, export.

Start with `facelog train --help`; `training.train.train` is the same as a function. This package may import `models`
and `schemas`, but not `transforms`, `runners` or `pipelines`. Crop geometry and normalisation come from `models`, so a
model is trained on exactly what it will see in use.

    recipe.py     what a model is trained with
    datasets/     readers of the public data sets
    data/         chips, labels and their split into parts; batches
    learning/     augmentation, targets and losses, the training loop
    judging/      calibration, figures, plots; overviews of data sets
    export.py     a trained network becomes a bundle
    train.py      all of it in order
    on_device.py  the same training as one JAX program on a GPU
"""
