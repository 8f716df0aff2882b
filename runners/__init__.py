"""How a pipeline is run: the local supervisor, plain in-process Beam, options, the lock on an output folder.

May import `schemas`, nothing else of ours. `local` is what `facelog analyze` uses by default, `direct` is plain Beam in
this process, `lock` keeps two runs out of one output folder.
"""
