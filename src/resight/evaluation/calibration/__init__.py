"""From similarities to probabilities and thresholds."""
