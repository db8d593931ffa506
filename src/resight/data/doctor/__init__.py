"""Checks of a data set: its format, its labels, its pictures."""
