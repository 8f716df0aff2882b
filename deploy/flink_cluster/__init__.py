"""A small Flink cluster with an S3 server on one machine, for tests and for trying things out."""
