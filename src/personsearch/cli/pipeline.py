"""`personsearch pipeline`: compile the pipelines, run them here."""

from pathlib import Path
from typing import Annotated, Any

import typer

from personsearch.cli import output
from personsearch.cli.options import Params, params_file
from personsearch.cli.run_options import ArgumentsFile, ClusterOptions, Setting, with_option_groups
from personsearch.errors import UserError

commands = typer.Typer(
    no_args_is_help=True,
    help="Compile the Kubeflow pipelines, run them here; `personsearch runs` has those of a cluster.",
)

Name = Annotated[str, typer.Argument(help="training or indexing")]
Root = Annotated[
    Path | None,
    typer.Option(
        help="Where local runs, their cache and checkpoints are kept. "
        "[default: pipelines in $PERSONSEARCH_HOME, else var/pipelines]",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add this group's commands to the root command."""
    app.add_typer(commands, name="pipeline")


@commands.command("compile")
@with_option_groups
def compile_(
    *,
    check: Annotated[bool, typer.Option(help="Write nothing; fail if the committed YAML is stale.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to write into; default: pipelines/compiled.")
    ] = None,
    images: ClusterOptions,
) -> None:
    """Write both pipelines as YAML to submit, and as objects of Kubernetes in `kubernetes/`."""
    from pipelines.compile import COMPILED, PIPELINES, check_compiled, compile_objects, compile_pipeline

    if images != ClusterOptions() and out is None:
        raise UserError("pipeline compile: --out FOLDER is missing; pipelines/compiled has the packaged settings")
    if check:
        check_compiled()
        return
    folder, cluster = out or COMPILED, images.config()
    written = {name: compile_pipeline(name, folder, cluster) for name in PIPELINES}
    objects = {f"{name}, objects": compile_objects(name, folder, cluster) for name in PIPELINES}
    output.show({**written, **objects}, as_json=False)


@commands.command()
def run(
    name: Name,
    *,
    params: Params = None,
    arguments: ArgumentsFile = None,
    settings: Setting = None,
    root: Root = None,
    as_json: output.JsonFlag = False,
) -> None:
    """Run a pipeline on this machine; started again after a kill, it resumes where it stopped.

    Section `prepare` of --params becomes the pipeline's argument `prepare_config`, and so on.
    """
    from personsearch.installation.settings import Settings
    from personsearch.integrations.kubeflow.runs import run_locally
    from pipelines.arguments import pipeline_arguments
    from pipelines.compile import compile_pipeline

    root = root or default_root()
    spec = compile_pipeline(name, root)
    given = pipeline_arguments(spec, params=params_file(params), arguments=arguments, settings=settings or [])
    finished = run_locally(spec, given, root=root, mlflow_address=Settings().mlflow_address)
    steps = {step.name: step.state for step in finished.steps}
    output.show({**finished.outputs, **_named(finished.returned), "steps": steps}, as_json=as_json)


def default_root() -> Path:
    """Where pipelines are kept unless --root says where."""
    from personsearch.installation.settings import Settings

    return Settings().home / "pipelines"


def _named(returned: dict[str, Any]) -> dict[str, Any]:
    return {f"{step} returned": value for step, value in returned.items()}
