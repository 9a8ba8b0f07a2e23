#!/bin/sh
# MLflow with runs and users in PostgreSQL, artifacts in the store by way of this server, and a password for everybody.
set -e
server=postgresql://mlflow:$MLFLOW_PASSWORD@$PGHOST:$PGPORT
umask 077
cat > /tmp/auth.ini <<INI
[mlflow]
default_permission = READ
database_uri = $server/mlflow_users
admin_username = $MLFLOW_TRACKING_USERNAME
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
INI
export MLFLOW_AUTH_CONFIG_PATH=/tmp/auth.ini MLFLOW_AUTH_ADMIN_PASSWORD="$MLFLOW_TRACKING_PASSWORD"
exec mlflow server --app-name basic-auth --host 0.0.0.0 --port 5000 --workers 1 \
    --allowed-hosts "$MLFLOW_HOSTS" \
    --backend-store-uri "$server/mlflow" --artifacts-destination s3://mlflow/artifacts
