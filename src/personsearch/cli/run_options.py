"""Options that several commands share: which pipeline with which arguments, in which images, on which Kubeflow."""

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from personsearch.cli.options import Params, params_file
from personsearch.errors import UserError

if TYPE_CHECKING:
    from pipelines.cluster import ClusterConfig

Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="One argument of the pipeline, the value read as YAML; NAME=@FILE reads a YAML file. Repeatable.",
    ),
]
ArgumentsFile = Annotated[
    Path | None,
    typer.Option("--arguments", metavar="FILE", help="YAML file of the pipeline's arguments; --set overrides it."),
]
Endpoint = Annotated[str | None, typer.Option(help="Kubeflow's API; default: KF_PIPELINES_ENDPOINT.")]
Registry = Annotated[str | None, typer.Option(help="Registry that holds the images.")]
ImageTag = Annotated[str | None, typer.Option(metavar="TAG", help="Tag of the images; default: that of cluster.yaml.")]
Digests = Annotated[
    list[str] | None,
    typer.Option("--digest", metavar="IMAGE=DIGEST", help="training=sha256:… or platform=sha256:…, not the tag."),
]
Cluster = Annotated[
    Path | None,
    typer.Option(
        "--cluster", metavar="FILE", help="YAML file over pipelines/cluster.yaml: resources, nodes, retries of steps."
    ),
]
Experiment = Annotated[str, typer.Option(help="Kubeflow experiment.")]
Namespace = Annotated[str | None, typer.Option(help="Your namespace, on a cluster with several users.")]


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What steps get on a cluster."""

    cluster_file: Cluster = None
    registry: Registry = None
    image_tag: ImageTag = None
    digests: Digests = None

    def config(self) -> "ClusterConfig":
        """What --cluster, --registry, --image-tag and --digest say.

        Raises:
            UserError: one of them is wrong.
        """
        from pipelines.cluster import DIGEST, cluster_config

        pairs = [digest.partition("=") for digest in self.digests or []]
        for image, _, digest in pairs:
            if not DIGEST.fullmatch(digest):
                raise UserError(f"--digest {image}={digest}: IMAGE=sha256: and 64 hex digits expected")
        by_image = {image: digest for image, _, digest in pairs}
        return cluster_config(
            self.cluster_file, {"registry": self.registry, "tag": self.image_tag, "digests": by_image}
        )


@dataclass(frozen=True, slots=True)
class RunOptions:
    """A pipeline's arguments, and where it runs."""

    params: Params = None
    arguments: ArgumentsFile = None
    settings: Setting = None
    endpoint: Endpoint = None
    experiment: Experiment = "personsearch"
    namespace: Namespace = None

    def prepared(self, name: str, cluster: ClusterOptions) -> tuple[Path, dict[str, Any]]:
        """The pipeline as it is compiled for the cluster, and its arguments.

        Raises:
            UserError: there is no such pipeline, or an option is wrong.
        """
        from personsearch.installation.settings import Settings
        from pipelines.arguments import pipeline_arguments
        from pipelines.compile import compile_pipeline

        spec = compile_pipeline(name, Settings().home / "pipelines" / "submitted", cluster.config())
        given = pipeline_arguments(
            spec, params=params_file(self.params), arguments=self.arguments, settings=self.settings or []
        )
        return spec, given


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take each of its parameters that is a dataclass as one option per field."""
    own = inspect.signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {
        name: each.annotation for name, each in own.items() if dataclasses.is_dataclass(each.annotation)
    }
    options = [each for name, each in own.items() if name not in groups]
    for group in groups.values():
        hints = get_type_hints(group, include_extras=True)
        for field in dataclasses.fields(group):
            kind = inspect.Parameter.KEYWORD_ONLY
            options.append(inspect.Parameter(field.name, kind, default=field.default, annotation=hints[field.name]))

    @wraps(command)
    def call(**given: Any) -> None:
        filled = {
            name: group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        command(**given, **filled)

    call.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in options}
    return call
