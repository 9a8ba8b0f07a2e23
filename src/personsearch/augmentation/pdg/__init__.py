"""Proximity data generation: a real image with one garment in another colour, and the caption that says so."""
