"""Phoneme segmentation from attention."""
