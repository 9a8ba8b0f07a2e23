"""Dual encoders on open_clip, their weights and their tokenizers."""
