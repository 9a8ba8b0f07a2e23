"""`personsearch pipeline`: compile, run here, or submit to a cluster."""

from pathlib import Path
from typing import Annotated, Any

import typer

from personsearch.cli import output

commands = typer.Typer(no_args_is_help=True, help="Compile the Kubeflow pipelines, run them here, submit them.")

Name = Annotated[str, typer.Argument(help="training or indexing")]
Parameter = Annotated[
    list[str] | None, typer.Option("--param", help="key=value, the value read as YAML; key=@file.yaml reads a file.")
]
ParametersFile = Annotated[
    Path | None, typer.Option("--params-file", help="YAML of pipeline parameters; --param goes before it.")
]
StagesFile = Annotated[
    Path | None, typer.Option("--stages", help="params.yaml: section `prepare` becomes the parameter prepare_config, …")
]
Root = Annotated[Path, typer.Option(help="Where local runs, their cache and checkpoints are kept.")]


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
    param: Parameter = None,
    params_file: ParametersFile = None,
    stages: StagesFile = None,
    root: Root = Path("var/pipelines"),
    as_json: output.JsonFlag = False,
) -> None:
    """Run a pipeline on this machine; started again after a kill, it goes on where it was."""
    from personsearch.installation.settings import Settings
    from personsearch.integrations.kubeflow.runs import run_locally
    from pipelines.arguments import pipeline_arguments
    from pipelines.compile import compile_pipeline

    spec = compile_pipeline(name, root)
    arguments = pipeline_arguments(spec, params_file=params_file, stages=stages, overrides=param or [])
    finished = run_locally(spec, arguments, root=root, mlflow_address=Settings().mlflow_address)
    steps = {step.name: step.state for step in finished.steps}
    output.show({**finished.outputs, **_named(finished.returned), "steps": steps}, as_json=as_json)


@commands.command()
def submit(
    name: Name,
    *,
    param: Parameter = None,
    params_file: ParametersFile = None,
    stages: StagesFile = None,
    endpoint: Annotated[str | None, typer.Option(help="Kubeflow's API; default: KF_PIPELINES_ENDPOINT.")] = None,
    registry: Annotated[str | None, typer.Option(help="Registry that holds the images.")] = None,
    experiment: Annotated[str, typer.Option(help="Kubeflow experiment to run in.")] = "personsearch",
    namespace: Annotated[str | None, typer.Option(help="Yours, on a cluster for several users.")] = None,
    wait: Annotated[bool, typer.Option(help="Return when the run has ended.")] = False,
    root: Root = Path("var/pipelines"),
    as_json: output.JsonFlag = False,
) -> None:
    """Start a run on a Kubeflow cluster."""
    from personsearch.integrations.kubeflow import cluster
    from pipelines.arguments import pipeline_arguments
    from pipelines.compile import compile_pipeline

    spec = compile_pipeline(name, root)
    arguments = pipeline_arguments(spec, params_file=params_file, stages=stages, overrides=param or [])
    if registry:
        spec = cluster.with_registry(spec, registry, spec.with_name(f"{name}-submitted.yaml"))
    client = cluster.connect(endpoint)
    run_id = cluster.submit(client, spec, arguments, experiment=experiment, namespace=namespace)
    if wait:
        cluster.wait(client, run_id, announce=lambda step, state: typer.echo(f"{step}: {state}", err=True))
    output.show({"run_id": run_id}, as_json=as_json)


def _named(returned: dict[str, Any]) -> dict[str, Any]:
    return {f"{step} returned": value for step, value in returned.items()}
