"""Training: the loop, and in rooms beside it batches, objective, optimization, checkpointing, monitoring."""
