"""Data sets: records, readers, preparation, synthetic pedestrians, the packed image cache."""
