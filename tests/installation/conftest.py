"""New databases of MLflow get their tables quickly."""

from tests.servers.mlflow_tables import mlflow_tables  # noqa: F401 (a fixture)
