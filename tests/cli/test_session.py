"""What is said where there is no cluster to talk to: one sentence, exit code 3 or 4, no traceback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from pointsman.cli import showing
from pointsman.cli.command import app
from pointsman.cli.place import Place

Answer = Callable[[str], tuple[int, Any]]
"""From a path to status and body."""


def status(code: int, message: str) -> tuple[int, Any]:
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


def listed(*items: Any) -> tuple[int, Any]:
    return 200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": list(items)}


MAY_NOT = 'modeldeployments.pointsman.dev is forbidden: User "jo" cannot list resource "modeldeployments" in API group "pointsman.dev" in the namespace "ml"'

ANSWERS: dict[str, tuple[Answer, int, str]] = {
    "no Pointsman": (
        lambda _path: (404, "404 page not found"),
        3,
        (
            "the cluster at HOST has no Pointsman of this version (pointsman.dev/v1alpha1): install it with its CRDs, or name"
            " another cluster with --context"
        ),
    ),
    "no rights": (lambda _path: status(403, MAY_NOT), 3, f"the cluster at HOST says no: {MAY_NOT}"),
    "no login": (
        lambda _path: status(401, "Unauthorized"),
        3,
        "the cluster at HOST does not know you (401 Unauthorized): log in again, or name other credentials with --context",
    ),
    "a server that fails": (
        lambda _path: status(500, "etcd is gone"),
        3,
        "cannot reach the cluster at HOST: the API server answered 500: etcd is gone",
    ),
    "no such model": (lambda _path: listed(), 4, "there is no ModelDeployment 'churn' in namespace 'ml'"),
    "an object of another version": (
        lambda path: (
            listed(
                {
                    "kind": "ModelDeployment",
                    "metadata": {"namespace": "ml", "name": "churn", "creationTimestamp": "2026-11-09T10:00:00Z"},
                    "spec": {"model": {"version": "7"}},
                    "status": {"rollout": "none"},
                }
            )
            if "modeldeployments" in path
            else listed()
        ),
        3,
        "ModelDeployment ml/churn: status.rollout: ",
    ),
}


class Api:
    """An API server that gives the same answer to everything."""

    def __init__(self, answer: Answer) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, body = answer(self.path)
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.host = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    serving = Api(request.param)
    yield serving
    serving.close()


def kubeconfig(folder: Path, host: str, *, context: str = "here") -> Path:
    file = folder / "config"
    said = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": "c", "cluster": {"server": host}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "ml"}}],
    }
    file.write_text(yaml.safe_dump(said), encoding="utf-8")
    return file


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(words), env=environment)


@pytest.mark.parametrize(("api", "code", "said"), ANSWERS.values(), ids=ANSWERS, indirect=["api"])
def test_a_cluster_that_cannot_help(api: Api, tmp_path: Path, code: int, said: str) -> None:
    result = run("status", "churn", "--kubeconfig", str(kubeconfig(tmp_path, api.host)))
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(said.replace("HOST", api.host))
    assert result.stderr.count("\n") == 1


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, "http://127.0.0.1:9")
    result = run("get", KUBECONFIG=str(file))
    assert result.exit_code == 3
    assert result.stderr.startswith("cannot reach the cluster at http://127.0.0.1:9: no answer from the API server")
    assert "secret" not in result.output


@pytest.mark.parametrize("answer", [lambda _path: listed()], ids=["an empty cluster"])
def test_nothing_is_there_yet(answer: Answer, tmp_path: Path) -> None:
    api = Api(answer)
    try:
        result = run("get", "--kubeconfig", str(kubeconfig(tmp_path, api.host)))
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "there are no ModelDeployments in namespace 'ml'\n"
        everywhere = run("get", "-A", "-o", "json", "--kubeconfig", str(kubeconfig(tmp_path, api.host)))
        assert json.loads(everywhere.stdout) == {"rollouts": []}
    finally:
        api.close()


def model(name: str) -> Any:
    return {
        "kind": "ModelDeployment",
        "metadata": {"namespace": "ml", "name": name, "creationTimestamp": "2026-11-09T10:00:00Z"},
        "spec": {"model": {"version": "7"}},
    }


@pytest.mark.parametrize(
    "api", [lambda _path: listed(model("churn"), model("checkout"), model("fraud"))], indirect=True
)
def test_a_shell_is_offered_the_models(api: Api, tmp_path: Path) -> None:
    place = Place(kubeconfig=str(kubeconfig(tmp_path, api.host)))
    assert showing.names(place, "ch") == ["checkout", "churn"]


@pytest.mark.parametrize("api", [lambda _path: status(403, MAY_NOT)], indirect=True)
def test_a_shell_is_offered_nothing_where_the_cluster_says_no(api: Api, tmp_path: Path) -> None:
    assert showing.names(Place(kubeconfig=str(kubeconfig(tmp_path, api.host))), "ch") == []


KUBECONFIGS = {
    "no file": (None, [], "there is no kubeconfig FILE: set --kubeconfig or KUBECONFIG\n"),
    "no YAML": ("{", [], "the kubeconfig FILE cannot be used: "),
    "something else": ("- a\n- b\n", [], "the kubeconfig FILE cannot be used: "),
    "nothing": ("", [], "the kubeconfig FILE cannot be used: "),
    "no such context": (
        yaml.safe_dump({"clusters": [], "users": [], "contexts": [], "current-context": "x"}),
        ["--context", "there"],
        "the kubeconfig FILE cannot be used: ",
    ),
}


@pytest.mark.parametrize(("text", "words", "said"), KUBECONFIGS.values(), ids=KUBECONFIGS)
def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, text: str | None, words: list[str], said: str) -> None:
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    result = run("get", "--kubeconfig", str(file), *words)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(said.replace("FILE", str(file)))
    assert result.stderr.count("\n") == 1
