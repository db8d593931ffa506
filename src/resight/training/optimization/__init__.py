"""From the losses to new weights: gradients, optimizers, schedules, averages, precision."""
