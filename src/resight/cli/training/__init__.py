"""Verbs that train: train, sweep, adapt, demo."""
