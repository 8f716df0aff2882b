"""Questions in SQL to an output folder."""
