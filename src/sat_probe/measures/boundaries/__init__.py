"""Phoneme boundaries: detection and scores."""
