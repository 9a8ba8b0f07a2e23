"""What people said of candidates, as data to train on and to measure models by."""
