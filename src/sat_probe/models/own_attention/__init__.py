"""Families whose attention does not use transformers' attention interface: WavLM, SEW-D and SpeechT5."""
