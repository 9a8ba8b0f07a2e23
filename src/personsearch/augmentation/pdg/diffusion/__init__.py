"""Editing a real image with the user's Stable Diffusion by inversion and attention control; and fine-tuning it."""
