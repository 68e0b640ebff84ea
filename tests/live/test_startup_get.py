"""What a GET loads: on Python 3.15, where imports are lazy, never the models' pydantic."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import interpreters

PROGRAM = """
import gc, sys
gc.disable()
sys.set_lazy_imports("all")
from kubectl_satoken import cluster, kubeconfig, live
from kubectl_satoken.env import Env
env = Env()
api = cluster.connect(kubeconfig.load(kubeconfig.Overrides(), env), env)
world = live.ClusterWorld(api, env)
assert world.get("Namespace", "", "default") is not None
accounts = api.request("GET", "/api/v1/namespaces/default/serviceaccounts")["items"]
api.request("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", {"spec": {}})
print(*sys.modules)
"""

# what doubles the time of a short command, and what is only there by accident
HEAVY = {
    "aiohttp",
    "concurrent.futures",
    "dateutil",
    "kubernetes.client.models",
    "kubernetes.config",
    "multiprocessing",
    "pydantic",
    "pydantic_core",
    "requests",
    "tabulate",
    "websocket",
}


def test_a_get_loads_no_models(cluster: Any) -> None:
    python = interpreters.find("3.15")
    if python is None:
        pytest.skip("there is no Python 3.15")
    bin_ = interpreters.venv(python, ".")
    out = subprocess.run(
        [bin_ / "python", "-c", PROGRAM],
        env={"KUBECONFIG": str(cluster.kubeconfig), "PATH": "/nonexistent"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    loaded = set(out.split())
    assert "kubernetes.client.rest" in loaded
    assert {name for name in HEAVY if name in loaded} == set()
