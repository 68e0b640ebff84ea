"""The few requests that the starter itself has to make of the API server."""

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


def get(server: str, directory: Path, path: str) -> Any:
    """What the API server answers the administrator; None when it has no answer, or a bad one."""
    context = ssl.create_default_context(cafile=str(directory / "pki" / "ca.crt"))
    context.load_cert_chain(directory / "admin.crt", directory / "admin.key")
    # A proxy of the environment has nothing to do with 127.0.0.1.
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    try:
        with urllib.request.build_opener(*handlers).open(server + path, timeout=5) as response:
            body = response.read()
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


def put(etcd: str, key: str, value: str) -> None:
    """Write a value into etcd, by its gateway for JSON."""
    body = {
        name: base64.b64encode(text.encode()).decode()
        for name, text in (("key", key), ("value", value))
    }
    request = urllib.request.Request(
        f"{etcd}/v3/kv/put", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    handlers = [urllib.request.ProxyHandler({})]
    with urllib.request.build_opener(*handlers).open(request, timeout=5) as response:
        response.read()
