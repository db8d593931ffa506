"""Sweeps that come with the package: ablations and comparisons, `resight sweep --list`."""
