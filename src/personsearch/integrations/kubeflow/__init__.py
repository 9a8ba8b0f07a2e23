"""Pipelines on Kubeflow: on this machine and on a cluster."""
