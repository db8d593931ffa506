"""Cameras: placement, sensor, framing of detections."""
