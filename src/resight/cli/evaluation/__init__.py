"""Verbs that judge a model: evaluate, compare, calibrate, report, explain."""
