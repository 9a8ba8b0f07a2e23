"""Runs and the model registry in MLflow."""
