"""What the image is made of, without building it: its commands, compose.yaml and the unit for systemd name things that exist."""

import ast
import fnmatch
import json
import re
import shlex
import subprocess
import tomllib

import pytest
import yaml

from tests.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
README = (ROOT / "asr/serving/README.md").read_text(encoding="utf-8")


def instructions(text: str = DOCKERFILE) -> list[tuple[str, str]]:
    """(instruction, what stands behind it), lines joined."""
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def last(name: str) -> str:
    return [rest for found, rest in instructions() if found == name][-1]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: of its patterns the last that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            keeps, pattern = line.startswith("!"), line.lstrip("!")
            places = [path, *(path[:i] for i, sign in enumerate(path) if sign == "/")]
            if any(fnmatch.fnmatch(place, pattern.replace("**/", "*")) for place in places):
                out = not keeps
    return out


def test_all_that_the_program_is_made_of_is_sent_to_the_build_and_no_more():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = ["pyproject.toml", "constraints.txt", project["project"]["readme"], "LICENSE"]
    needed += [str(path.relative_to(ROOT)) for path in (ROOT / "asr").rglob("*") if "__pycache__" not in str(path)]
    assert not [path for path in needed if ignored(path)]
    for path in (".git/config", ".venv/bin/python", "data/x.wav", "exp/toy/model.safetensors", "asr/__pycache__/a.pyc"):
        assert ignored(path), path
    extras = re.findall(r"--extra (\w+)", DOCKERFILE)
    assert extras and set(extras) <= set(project["project"]["optional-dependencies"])


def test_nobody_is_root_and_the_server_is_asked_how_it_is(run):
    assert re.fullmatch(r"[1-9]\d+", last("USER"))
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    ast.parse(command[-1])
    assert "/health" in command[-1]
    assert json.loads(last("ENTRYPOINT")) == ["asr"]
    options = json.loads(last("CMD"))
    assert options[0] == "serve" and last("EXPOSE") == "8000"
    help_of = run("serve", "--help")[1]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        for option in (*options, *service["command"]):
            assert not option.startswith("--") or option in help_of


def test_images_have_plain_names():
    """No name of a host: where images and packages come from is a matter of whoever builds."""
    for name, rest in instructions():
        if name == "FROM":
            assert "/" not in rest, rest
    hosts = re.findall(r"https?://([^/:\s'\"]+)", DOCKERFILE + (ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert set(hosts) == {"127.0.0.1"}


def test_services_are_for_this_machine_alone_and_can_do_little():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    cpu, cuda = compose["services"]["asr"], compose["services"]["asr-cuda"]
    assert cpu["build"]["args"] == {"TORCH": "cpu"} and cuda["build"]["args"]["TORCH"].startswith("cu")
    assert cuda["profiles"] == ["cuda"] and cuda["deploy"]["resources"]["reservations"]["devices"]
    for service in (cpu, cuda):
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert {place.partition(":")[0] for place in service["volumes"]} <= set(compose["volumes"])
        assert last("VOLUME") in {place.partition(":")[2] for place in service["volumes"]}


def unit() -> str:
    """The unit for systemd that the server's page shows."""
    [found] = re.findall(r"```ini\n(\[Unit\].*?)```", README, re.DOTALL)
    return found


def test_the_unit_starts_a_command_that_there_is(run):
    [started] = re.findall(r"(?m)^ExecStart=(.*)$", unit())
    program, command, *options = shlex.split(started)
    help_of = run(command, "--help")[1]
    assert program.endswith("/asr") and all(option in help_of for option in options if option.startswith("--"))


def test_systemd_understands_the_unit(tmp_path):
    import shutil

    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "asr.service"
    path.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit()), encoding="utf-8")
    told = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True)
    assert "asr.service" not in told.stderr, told.stderr
