"""Measurements: a bare loop as the floor, scaling, memory, peers. Each module runs by itself; may import anything."""
