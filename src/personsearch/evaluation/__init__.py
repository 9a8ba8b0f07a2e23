"""Retrieval metrics, calibration, the report and the gate."""
