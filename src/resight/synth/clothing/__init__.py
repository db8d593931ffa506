"""Clothes and what people carry: garments, cloth, colors."""
