"""How a pipeline is run: the local supervisor, plain in-process Beam, options, the lock on an output folder.

May import `schemas`, nothing else of ours. `local/` is the default of `facelog analyze`, `direct` is plain Beam in
this process, `flink/` is for clusters. `lock` and `lease` keep a second run out of an output folder.
"""
