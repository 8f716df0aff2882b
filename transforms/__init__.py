"""The steps of the pipeline, one file each: the plain function or class first, its Beam transform last.

May import `models` and `schemas`; knows nothing of `training`, `runners` or `pipelines`.
"""
