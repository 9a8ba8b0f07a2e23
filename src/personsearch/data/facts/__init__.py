"""What can be known of a person in an image, from attributes or from words."""
