"""MLflow's webhooks reach the promoter through the database, and nobody else's do."""

import json
import time

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from pydantic import SecretStr

from personsearch.integrations.database.notices import ALIAS_MOVED, DatabaseNotices
from personsearch.integrations.database.schema import open_database
from serving.app import create_app
from serving.settings import ServingSettings
from tests.integrations.mlflow.test_webhooks import SECRET, webhook
from tests.serving.colours import ColourSource

PATH = "/v1/webhooks/mlflow"


@pytest.fixture
def receiving(settings: ServingSettings, source: ColourSource) -> TestClient:
    """A client without a key, of a service that takes webhooks."""
    return TestClient(create_app(settings.model_copy(update={"webhook_secret": SecretStr(SECRET)}), source=source))


def moved(model: str) -> str:
    data = {"name": model, "alias": "champion", "version": "7"}
    return json.dumps({"entity": "model_version_alias", "action": "created", "data": data})


def send(client: TestClient, body: str, secret: str = SECRET) -> Response:
    return client.post(PATH, content=body, headers=dict(webhook(secret, body, sent=time.time())))


def noticed(settings: ServingSettings) -> int:
    return DatabaseNotices(open_database(settings.database_address)).number(ALIAS_MOVED)


def test_an_alias_of_our_model_is_noticed_and_others_are_not(receiving: TestClient, settings: ServingSettings) -> None:
    for model, number in (("personsearch", 1), ("another", 1), ("personsearch", 2)):
        assert send(receiving, moved(model)).status_code == 204
        assert noticed(settings) == number
    refused = send(receiving, moved("personsearch"), "another-secret-of-it")
    assert refused.status_code == 401
    assert "signed with another secret" in refused.json()["detail"]
    assert noticed(settings) == 2
    metrics = receiving.get("/metrics").text
    for outcome, count in (("passed_on", 2), ("ignored", 1), ("refused", 1)):
        assert f'personsearch_webhooks_total{{outcome="{outcome}"}} {count}.0' in metrics


def test_without_a_secret_nobody_is_believed(client: TestClient, settings: ServingSettings) -> None:
    answer = send(client, moved("personsearch"), "")
    assert answer.status_code == 404
    assert "PERSONSEARCH_WEBHOOK_SECRET is not set" in answer.json()["detail"]
    assert noticed(settings) == 0
