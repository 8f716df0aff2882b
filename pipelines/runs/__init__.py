"""A run of `analyze` from its call to its summary, on each runner."""
