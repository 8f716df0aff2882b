"""Measurements, and the scripts that make tables and pictures of the documentation; each module is a program."""
