"""What a step minimizes: named losses on named outputs, and their weights."""
