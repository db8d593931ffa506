"""Verbs on galleries: index, gallery, serve, keys."""
