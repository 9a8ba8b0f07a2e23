"""Retrieval metrics, calibration, the gate and the report."""
