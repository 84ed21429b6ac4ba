"""The manifests in docs/kubernetes fit each other and the commands that they run."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from detector.cli import cli
from detector.data.work import Executor
from detector.pipeline import stage

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "kubernetes"


def documents() -> list[dict[str, Any]]:
    # duplicate keys are errors of this reader
    return [one for file in sorted(FOLDER.glob("*.yaml")) for one in YAML(typ="safe", pure=True).load_all(file)]


def of_kind(kind: str, name: str = "faces") -> dict[str, Any]:
    (found,) = [one for one in documents() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pods() -> dict[str, dict[str, Any]]:
    cluster = of_kind("DaskCluster")["spec"]
    jobs = {"job": of_kind("Job"), "train": of_kind("Job", "train")}
    return {name: cluster[name]["spec"] for name in ("worker", "scheduler")} | {
        name: job["spec"]["template"]["spec"] for name, job in jobs.items()
    }


def test_all_pods_have_one_image_and_those_that_read_files_share_a_folder() -> None:
    containers = {name: pod["containers"][0] for name, pod in pods().items()}
    assert len({container["image"] for container in containers.values()}) == 1
    claims = {
        name: [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]]
        for name, pod in pods().items()
        if name != "scheduler"
    }
    claim = of_kind("PersistentVolumeClaim")["metadata"]["name"]
    assert claims == {name: [claim] for name in ("worker", "job", "train")}
    for name in claims:
        (mount,) = containers[name]["volumeMounts"]
        assert mount["name"] == pods()[name]["volumes"][0]["name"]
        assert mount["mountPath"] == containers[name]["workingDir"]
    # a worker refuses tasks of a command that runs in another folder
    assert containers["worker"]["workingDir"] == containers["job"]["workingDir"]
    assert of_kind("PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_workers_and_commands_name_the_scheduler_of_the_cluster() -> None:
    cluster = of_kind("DaskCluster")
    ports = {port["name"]: port["port"] for port in cluster["spec"]["scheduler"]["service"]["ports"]}
    # the operator names the service after the cluster
    address = f"dask://{cluster['metadata']['name']}-scheduler:{ports['tcp-comm']}"
    (env,) = pods()["job"]["containers"][0]["env"]
    assert env == {"name": "DETECTOR_EXECUTOR", "value": address}
    assert Executor(env["value"]).elsewhere
    program, command, scheduler, *options = pods()["worker"]["containers"][0]["args"]
    assert (program, command, scheduler) == ("detector", "worker", address)
    help_text = CliRunner().invoke(cli, ["worker", "--help"]).output
    assert all(option in help_text for option in options if option.startswith("--"))
    opened = pods()["scheduler"]["containers"][0]["ports"]
    assert {port["name"]: port["containerPort"] for port in opened} == ports
    selector = cluster["spec"]["scheduler"]["service"]["selector"]
    assert selector == {"dask.org/cluster-name": cluster["metadata"]["name"], "dask.org/component": "scheduler"}


def test_a_worker_is_restarted_before_kubernetes_kills_its_pod() -> None:
    container = pods()["worker"]["containers"][0]
    memory = container["args"][container["args"].index("--memory") + 1]
    limit = container["resources"]["limits"]["memory"]
    assert memory.endswith("GB") and limit.endswith("Gi")
    assert float(memory[:-2]) * 1e9 < int(limit[:-2]) * 2**30


def meeting(launcher: str) -> tuple[str, list[str]]:
    """Return the host at which torchrun's agents meet and the other words of *launcher*; torchrun knows all of them."""
    from torch.distributed.run import parse_args

    words = launcher.split()
    words = words[words.index("torchrun") + 1 :]
    options = parse_args([*words, "-m", "detector.cli"])
    assert (options.rdzv_backend, options.max_restarts) == ("c10d", 9)
    host, _, port = options.rdzv_endpoint.partition(":")
    assert port in ("29400", "$port")
    return host, words


def test_the_pods_of_a_training_run_the_stage_and_meet_at_the_first() -> None:
    job, service, pod = of_kind("Job", "train"), of_kind("Service", "train"), pods()["train"]
    (container,) = pod["containers"]
    host, words = meeting(container["env"][0]["value"])
    assert container["env"][0]["name"] == "DETECTOR_LAUNCHER"
    # Kubernetes names the pods of an indexed job by its name and their number, below the subdomain
    assert host == f"{job['metadata']['name']}-0.{pod['subdomain']}"
    assert pod["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert job["spec"]["completionMode"] == "Indexed"
    assert words[:2] == ["--nnodes", f"1:{job['spec']['completions']}"]
    assert job["spec"]["parallelism"] == job["spec"]["completions"]
    assert f"exec {stage('train').command};" in " ".join(container["command"])


def test_the_commands_of_the_page_and_of_slurm_are_those_of_torchrun_and_the_stage() -> None:
    page = (FOLDER.parent / "cluster.md").read_text()
    assert stage("train").command in page
    launchers = re.findall(r'DETECTOR_LAUNCHER="(torchrun --nnodes[^"]*)"', page.replace("\\\n", ""))
    assert [meeting(text)[0] for text in launchers] == ["node-1"]
    script = FOLDER.parent / "slurm" / "train.sh"
    subprocess.run(["sh", "-n", script], check=True)
    (launcher,) = re.findall(r'DETECTOR_LAUNCHER="(srun [^"]*)"', script.read_text())
    assert meeting(launcher.replace("$SLURM_JOB_NUM_NODES", "2"))[0] == "$first"


@pytest.mark.parametrize(("kind", "name"), [
    ("PersistentVolumeClaim", "faces"), ("Job", "faces"), ("Job", "train"), ("Service", "train")
])  # fmt: skip
def test_manifests_have_the_form_of_kubernetes(kind: str, name: str) -> None:
    import kubernetes_validate  # type: ignore[import-untyped]

    kubernetes_validate.validate(of_kind(kind, name), "1.30", strict=True)
    wrong = {**of_kind(kind, name), "spce": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="spce"):
        kubernetes_validate.validate(wrong, "1.30", strict=True)


def test_the_cluster_has_the_form_of_dasks_operator() -> None:
    import jsonschema

    try:
        files = [file for file in distribution("dask-kubernetes").files or [] if file.name == "daskcluster.yaml"]
    except PackageNotFoundError:
        pytest.skip("pip install --no-deps dask-kubernetes, as make setup does")
    (definition,) = [YAML(typ="safe", pure=True).load(file.locate()) for file in files if file.parent.name == "crds"]
    (version,) = [one for one in definition["spec"]["versions"] if one["name"] == "v1"]
    form = version["schema"]["openAPIV3Schema"]
    jsonschema.validate(of_kind("DaskCluster"), form)
    wrong = of_kind("DaskCluster")
    wrong["spec"]["worker"]["replicas"] = "8"
    with pytest.raises(jsonschema.ValidationError, match="'8' is not of type 'integer'"):
        jsonschema.validate(wrong, form)


def commands() -> list[list[str]]:
    """Return the words of every command that a container runs."""
    containers = [pod["containers"][0] for pod in pods().values()]
    found = []
    for container in containers:
        words = [*container.get("command", []), *container.get("args", [])]
        if words[0] == "sh":
            found += [line.split() for line in re.findall(r"exec ([^;]+);", words[-1])]
        else:
            found.append(words)
    return found


def test_the_command_lines_of_all_containers_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed.cli.dask_scheduler import main

    monkeypatch.chdir(tmp_path)
    for name in ("compressed", "faces"):
        (tmp_path / "out" / name).mkdir(parents=True)

    known = {("detector", "worker"), ("detector", "train"), ("dask", "scheduler"), ("dvc", "repro")}
    assert {(program, command) for program, command, *_ in commands()} == known
    for program, command, *words in commands():
        if program == "dvc":
            assert all(stage(name) for name in words)
            continue
        parser = main if program == "dask" else cli.get_command(click.Context(cli), command)
        assert parser is not None
        try:
            parser.make_context(command, list(words), resilient_parsing=False)
        except click.ClickException as error:
            pytest.fail(f"{program} {command} {' '.join(words)}: {error.format_message()}")
