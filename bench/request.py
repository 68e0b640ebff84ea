"""One request, as a command of kubectl satoken: the least that a command which connects costs.

Takes the place of the verb doctor, so that all before and after the request is the product's own:
start, parser, kubeconfig, transport, end.

    python bench/request.py GET       # of the service account app, in the current namespace
    python bench/request.py POST      # a TokenRequest for it
"""

import sys
from typing import Any

HELP = DESCRIPTION = EPILOG = ""
TOKEN_REQUEST = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}


def add_arguments(parser: Any) -> None:
    from kubectl_satoken import flags

    parser.add_argument("method", choices=("GET", "POST"))
    flags.add_cluster_flags(parser)


def run(args: Any, env: Any) -> int:
    from kubectl_satoken import cluster, flags, kubeconfig

    api = cluster.connect(kubeconfig.load(flags.overrides(args), env), env)
    path = f"/api/v1/namespaces/{api.namespace}/serviceaccounts/app"
    if args.method == "GET":
        found = api.request("GET", path)
        env.stdout.write(found["metadata"]["name"] + "\n")
    else:
        made = api.request("POST", f"{path}/token", TOKEN_REQUEST)
        env.stdout.write(made["status"]["expirationTimestamp"] + "\n")
    return 0


if __name__ == "__main__":
    from kubectl_satoken.__main__ import main

    sys.modules["kubectl_satoken.commands.doctor"] = sys.modules["__main__"]
    sys.argv.insert(1, "doctor")
    main()
