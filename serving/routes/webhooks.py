"""`POST /v1/webhooks/mlflow`: MLflow says that an alias moved, and the promoter looks at once."""

import logging
import time
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from personsearch.integrations.database.notices import ALIAS_MOVED
from personsearch.integrations.mlflow.webhooks import WebhookRefused, check_webhook, moved_alias_of
from serving.problems import Problem
from serving.service import ServiceDep

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/webhooks", tags=["health"], include_in_schema=False)


async def raw_body(request: Request) -> bytes:
    """The body to the byte, as it was signed."""
    return await request.body()


@router.post("/mlflow", status_code=HTTPStatus.NO_CONTENT)
def receive(request: Request, service: ServiceDep, body: Annotated[bytes, Depends(raw_body)]) -> Response:
    """Pass on that an alias of our model moved. Every replica may receive it: the notice is in the database."""
    secret = service.settings.webhook_secret.get_secret_value()
    if not secret:
        raise Problem(HTTPStatus.NOT_FOUND, "Webhooks are not set up: PERSONSEARCH_WEBHOOK_SECRET is not set.")
    try:
        check_webhook(secret, request.headers, body, now=time.time())
    except WebhookRefused as error:
        service.metrics.webhooks.labels("refused").inc()
        logger.warning("a webhook is refused: %s", error)
        raise Problem(HTTPStatus.UNAUTHORIZED, f"The webhook is refused: {error}.") from error
    if moved_alias_of(body) == service.settings.model_name:
        service.notices.post(ALIAS_MOVED)
        service.metrics.webhooks.labels("passed_on").inc()
    else:
        service.metrics.webhooks.labels("ignored").inc()
    return Response(status_code=HTTPStatus.NO_CONTENT)
