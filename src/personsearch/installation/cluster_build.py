"""An index build by the indexing pipeline on a Kubeflow cluster: started, or found as an earlier promoter left it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personsearch.gallery.indexing import IndexConfig
from personsearch.integrations.kubeflow.cluster import (
    FINAL_STATES,
    RunUnfinishedError,
    connect,
    runs,
    submit,
    wait,
)
from personsearch.integrations.kubeflow.steps import code_version

logger = logging.getLogger(__name__)

EXPERIMENT = "personsearch-indexing"
ASK_SECONDS = 2.0  # between looks at the run


@dataclass(frozen=True, slots=True)
class ClusterBuild:
    """The compiled pipeline, and the user's namespace on a cluster with several."""

    spec: Path
    namespace: str | None = None

    def run(self, config: IndexConfig, model_name: str, version: str, *, between: Callable[[], None]) -> None:
        """Index with a version while it is the champion. `between` is called every other second; what it raises leaves
        the run alone, which the next call for the same version finds.

        Raises:
            UserError: Kubeflow cannot be reached or refuses the run, or the run fails.
        """
        client, name = connect(), f"index with {model_name} version {version}"
        run_id = self._unfinished(client, name)
        if run_id is None:
            arguments = {
                "index_config": config.model_dump(mode="json"),
                "model_version": version,
                "model_name": model_name,
                "while_champion": True,
                "code_version": code_version(),
            }
            run_id = submit(client, self.spec, arguments, experiment=EXPERIMENT, namespace=self.namespace, name=name)
        logger.info("%s: run %s", name, run_id)
        while True:
            try:
                return wait(client, run_id, announce=_say, interval_seconds=ASK_SECONDS, timeout_seconds=ASK_SECONDS)
            except RunUnfinishedError:
                between()

    def _unfinished(self, client: Any, name: str) -> str | None:
        found = runs(client, experiment=EXPERIMENT, namespace=self.namespace)
        same = (run for run in found if run.name == name and run.state.upper() not in FINAL_STATES)
        return next((run.run_id for run in same), None)


def _say(step: str, state: str) -> None:
    logger.debug("%s: %s", step, state)
