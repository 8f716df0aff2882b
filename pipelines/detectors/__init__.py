"""Compare detectors with each other, and with faces that somebody marked."""
