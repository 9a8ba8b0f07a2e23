"""What a model sees of a person, asked about one thing at a time: bag, hat, hair, garment, gender, colour."""
