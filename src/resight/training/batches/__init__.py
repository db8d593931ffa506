"""Batches for the steps: sources, samplers, and labels found by clustering."""
