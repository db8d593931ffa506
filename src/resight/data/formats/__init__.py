"""Formats of data sets: folder per person, CSV, lists, file-name patterns; reading and writing."""
