"""A run of `analyze`, from its call to its summary: one frame, and a file for each runner."""
