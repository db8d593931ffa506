"""What is written and shown of a run: journal, progress, validation, profile."""
