"""Sweeps over recipes and settings, and their tables."""
