"""Results in the formats of other programs, one file for each; `pipelines.export` wires them."""
