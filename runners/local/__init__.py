"""The local runner: a supervisor with worker processes."""
