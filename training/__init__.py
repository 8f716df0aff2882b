"""How the bundles in `models` were made: data set readers, augmentation, training, calibration, evaluation, cards.

`facelog train --help` is the way in; `training.train.train` is the whole of it as a function. May import `models` and
`schemas`; knows nothing of `transforms`, `runners` and `pipelines`: crop geometry and normalisation come from `models`,
so that a model is trained on what it will see.
"""
