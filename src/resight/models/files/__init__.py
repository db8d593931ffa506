"""Model files: their header, reading and writing, fitting tensors to a model, and hubs."""
