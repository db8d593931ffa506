"""Verbs that evaluate a model: evaluate, compare, calibrate, report, explain."""
