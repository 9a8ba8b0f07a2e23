"""Proximity data generation (PDG): a real image with one garment in another colour, and a caption to match."""
