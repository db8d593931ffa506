"""Training: loop, objective, batches, optimizer, checkpoints."""
