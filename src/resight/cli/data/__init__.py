"""Verbs that read or make data sets: data, synth."""
