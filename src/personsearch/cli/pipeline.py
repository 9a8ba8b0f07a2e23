"""`personsearch pipeline`: compile the pipelines, run them here."""

from pathlib import Path
from typing import Annotated, Any

import typer

from personsearch.cli import output
from personsearch.cli.options import Params, params_file

commands = typer.Typer(
    no_args_is_help=True,
    help="Compile the Kubeflow pipelines, run them here; `personsearch runs` has those of a cluster.",
)

Name = Annotated[str, typer.Argument(help="training or indexing")]
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
def compile_(
    check: Annotated[bool, typer.Option(help="Write nothing; fail if the committed YAML is stale.")] = False,
) -> None:
    """Write pipelines/compiled/*.yaml, or check that they are what the sources say."""
    from pipelines.compile import PIPELINES, check_compiled, compile_pipeline

    if check:
        check_compiled()
    else:
        output.show({name: compile_pipeline(name) for name in PIPELINES}, as_json=False)


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
