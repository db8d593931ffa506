"""Where a model looks, and what a similarity rests on."""
