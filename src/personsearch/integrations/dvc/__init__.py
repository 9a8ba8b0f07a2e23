"""Versioned data sets in DVC."""
