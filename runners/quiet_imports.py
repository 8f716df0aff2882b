"""The first import of a fork server: Beam's remarks about what comes after it stay off the terminal."""

from runners.options import quiet_beam

quiet_beam()
