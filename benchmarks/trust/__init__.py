"""Faults made on purpose: does a run keep its promises? `make trust`; what is promised stands in docs/trust.md.

python -m benchmarks.trust                   all of it, about a quarter of an hour on two cores
python -m benchmarks.trust kills --kills 10  one part
"""
