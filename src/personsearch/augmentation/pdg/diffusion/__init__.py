"""Editing real images with the user's Stable Diffusion, by inversion and attention control; and its fine-tuning."""
