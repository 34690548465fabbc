"""Relation maps: how strongly frames of one phone attend to frames of another."""
