"""The programs: analyze, assemble and the command line. Wiring only; the steps live in `transforms`.

May import everything else of ours but tests and benchmarks.
"""
