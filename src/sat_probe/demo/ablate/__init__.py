"""The Ablate tab."""
