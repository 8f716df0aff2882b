"""A job on a Flink cluster: handing it over, asking about it, and the worker pool of each host."""
