"""What the parts of facelog agree on: tables, configuration, storage and the values that travel between steps.

Imports nothing of ours. `storage` is the one file-system layer, `tables` the pyarrow schemas, `config` the run
configuration and its hash, `video` what is known of a file and its segments, `faces` the columnar batch of one segment.
"""
