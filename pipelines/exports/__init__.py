"""Results in the formats of other programs, one file for each; `export.py` wires them."""
