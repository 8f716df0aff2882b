"""Output folders that are kept for long: compact, prune, forget, upgrade."""
