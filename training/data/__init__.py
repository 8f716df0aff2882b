"""From data sets to batches: chips, labels, the split into parts, and the files that hold them."""
