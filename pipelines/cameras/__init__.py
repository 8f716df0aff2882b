"""Faces of cameras: whatever arrives while one looks, and not a file that is there."""
