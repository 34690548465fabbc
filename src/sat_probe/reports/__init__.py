"""Kept and shown: no models, no corpora."""
