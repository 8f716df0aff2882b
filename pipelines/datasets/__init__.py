"""Data sets through the pipeline's own steps: `prepare` and `evaluate`."""
