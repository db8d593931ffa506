"""The embedded back-end: one folder, no server."""
