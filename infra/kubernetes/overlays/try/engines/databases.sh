#!/bin/sh
# Runs once, when PostgreSQL's volume is new: a user and databases for search, and for MLflow.
set -e
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --set personsearch="$SEARCH_PASSWORD" --set mlflow="$MLFLOW_PASSWORD" <<SQL
CREATE USER personsearch PASSWORD :'personsearch';
CREATE DATABASE personsearch OWNER personsearch;
CREATE USER mlflow PASSWORD :'mlflow';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_users OWNER mlflow;
SQL
