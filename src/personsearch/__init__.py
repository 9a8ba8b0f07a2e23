"""Find a person in surveillance imagery by describing them."""

__version__ = "0.1.0"
