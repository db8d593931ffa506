"""Explanations: attention maps of a model, and which regions a similarity comes from."""
