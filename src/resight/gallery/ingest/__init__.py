"""Pictures into a gallery: what a user names, what is known of each, and indexing them."""
