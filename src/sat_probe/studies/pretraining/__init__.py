"""Pre-training of Mockingjay models."""
