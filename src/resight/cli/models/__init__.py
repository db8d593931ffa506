"""Verbs on models and their parts: models, losses, backbones, import, export, bench."""
