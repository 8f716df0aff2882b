"""Face detectors, a file each. `choose` gives the one that a configuration names."""
