"""Re-ranking: k-reciprocal encoding and query expansion."""
