"""From data sets to batches: chips, labels, shards and the files that hold them."""
