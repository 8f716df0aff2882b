"""Overviews of data sets before training; calibration, figures and plots after it."""
