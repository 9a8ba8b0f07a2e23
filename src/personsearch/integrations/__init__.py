"""The only importers of platforms: DVC, MLflow, Milvus, Kubeflow."""
