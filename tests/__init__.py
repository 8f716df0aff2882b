"""Tests, in the folders of what they test; `clips` makes the videos they need on the spot."""
