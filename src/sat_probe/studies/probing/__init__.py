"""Probes: what the hidden states of a model tell about phones and speakers."""
