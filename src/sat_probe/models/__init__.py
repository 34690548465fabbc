"""Waveform in, attention out."""
