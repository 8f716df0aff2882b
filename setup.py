"""Shim for Beam's `--setup_file`, which wants a setup.py; everything is said in pyproject.toml."""

from setuptools import setup

setup()
