"""The HTTP service: search by description, crop images, health, metrics and the search page. It needs no torch."""
