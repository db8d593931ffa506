"""Verbs on pictures: embed, search, verify, cluster."""
