"""The token is fine, but the way to the API server is not."""

from collections.abc import Iterator

from ..admission import ROOT_CA_CONFIG_MAP
from ..fixes import dumps, kubectl, patch_pod, restart
from ..managed_fields import writers
from ..mounts import api_tokens, container_paths, is_mirror
from ..times import seconds
from ..workloads import finished, is_live
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .mount import grouped
from .root_ca import copy_root_ca, uses_root_ca

HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


def callers(pod: Object, world: World) -> list[tuple[str, Object]]:
    """The containers that have a token for the API server, each after its path in the pod."""
    if is_mirror(pod) or finished(pod):
        return []
    served = {file.container for file in api_tokens(pod, world)}
    return [(path, item) for path, item in container_paths(pod) if item["name"] in served]


def environment(container: Object) -> dict[str, str | None]:
    """The variables of a container's ``env``: their values, or None where these are not known.

    The last of two with one name wins (pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables).
    """
    found: dict[str, str | None] = {}
    for variable in container.get("env") or []:
        value = variable.get("value") or ""
        known = not variable.get("valueFrom") and "$(" not in value
        found[variable["name"]] = value if known else None
    return found


def variable_evidence(
    pod: Object, path: str, container: Object, name: str, *, here: bool = False
) -> Evidence:
    """A variable of a container as evidence; of several with one name the last."""
    index, variable = max(
        (index, variable)
        for index, variable in enumerate(container["env"])
        if variable["name"] == name
    )
    shown = f"{name}={variable.get('value') or ''}"
    return at(pod, f"{path}.env[{index}]", shown, here=here)


def everything(kind: str, pod: Object, world: World) -> Iterator[Object]:
    """The objects of a kind in the pod's namespace. Raises Unseen at the end if there may be more.

    A pod that is only in a file is judged by what the files have: what else its namespace holds is
    not asked there, and every file would be told that it is not seen.
    """
    try:
        yield from world.list(kind, pod["metadata"].get("namespace", ""))
    except Unseen:
        if world.source == "cluster" or is_live(pod):
            raise


@check("SAT901", on="Pod", severity="error", stage="network")
def in_cluster_env_missing(pod: Object, world: World) -> Iterator[Finding]:
    """The variables by which clients find the API server are overwritten.

    ### What goes wrong

    Client libraries take the address of the API server from `KUBERNETES_SERVICE_HOST` and
    `KUBERNETES_SERVICE_PORT`. The kubelet sets both in every container (`enableServiceLinks: false`
    does not change that), but `env` of the container wins, and here it says something empty or
    something that is no address: `unable to load in-cluster configuration,
    KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined`, `Service host/port is not
    set.`. Another address or host name is fine: some platforms set one.

    The same message from a program outside a pod, or below `sudo`, `su -`, `env -i`, cron or sshd,
    which clear the environment, is nothing that the objects could show.

    ### How to fix it

    Take the variable out of `env`. If a program is to run without the API server, give it no token
    instead (`automountServiceAccountToken: false`).
    """
    wrong: dict[str, Object] = {}
    evidence: list[Evidence] = []
    words: list[str] = []
    for path, container in callers(pod, world):
        values = environment(container)
        for name, is_wrong in ((HOST, is_no_host), (PORT, is_no_port)):
            value = values.get(name)
            if value is None or not is_wrong(value):
                continue
            gone = wrong.setdefault(container["name"], {"env": []})
            gone["env"].append({"name": name, "$patch": "delete"})
            evidence.append(variable_evidence(pod, path, container, name, here=True))
            words.append(f"{name} is {value or 'empty'} in {container['name']}")
    if not wrong:
        return
    yield Finding(
        f"clients do not find the API server: {', '.join(words)}",
        evidence[0],
        tuple(evidence),
        patch_pod(
            pod,
            world,
            grouped(pod, wrong),
            "take it out, so that the kubelet's own value counts (pods are recreated)",
        ),
    )


def out_of_environment(pod: Object, container: str, names: list[str], world: World) -> Fix | None:
    """The fix that takes variables of a container away; None where nothing seen sets them.

    They stand in its ``env``, or are keys of a ConfigMap that its ``envFrom`` names: what a Secret
    holds is not looked at.
    """
    item = next((item for _, item in container_paths(pod) if item["name"] == container), None)
    if item is None:
        return None
    own = [name for name in names if name in environment(item)]
    if own:
        gone = {"env": [{"name": name, "$patch": "delete"} for name in own]}
        return patch_pod(
            pod,
            world,
            grouped(pod, {container: gone}),
            "take it out of the env, so that the kubelet's own value counts (pods are recreated)",
        )
    namespace = pod["metadata"].get("namespace", "")
    commands: list[str] = []
    for source in item.get("envFrom") or []:
        name = (source.get("configMapRef") or {}).get("name")
        prefix = source.get("prefix") or ""
        wanted = {word.removeprefix(prefix) for word in names if word.startswith(prefix)}
        if not name or not wanted:
            continue
        try:
            config_map = world.get("ConfigMap", namespace, name)
        except Unseen:
            continue
        held = [key for key in (config_map or {}).get("data") or {} if key in wanted]
        if held:
            patch = dumps({"data": dict.fromkeys(held)})
            words = ("patch", "configmap", name, "--type=merge", "-p", patch)
            commands.append(kubectl(world, namespace, *words))
    if not commands:
        return None
    return Fix(
        "take it out of the ConfigMap that the env comes from, so that the kubelet's own value "
        "counts, then make the pod anew",
        (*commands, *restart(pod, world)),
        recreates=True,
    )


def is_no_host(value: str) -> bool:
    """Whether a value cannot be a host: empty, a URL, or with a port."""
    if not value or any(letter in " /@" for letter in value):
        return True
    return value.count(":") == 1


def is_no_port(value: str) -> bool:
    """Whether a value cannot be a port."""
    return not (value.isascii() and value.isdigit() and 0 < int(value) < 65536)


def linked(pod: Object, world: World, name: str) -> Object | None:
    """The Service of that name in the pod's namespace, if it becomes variables in the pod.

    Those without an address of their own do not, nor does any where ``enableServiceLinks`` is false
    (pkg/kubelet/kubelet_pods.go, getServiceEnvVarMap).
    """
    if pod["spec"].get("enableServiceLinks") is False:
        return None
    for service in everything("Service", pod, world):
        if service["metadata"]["name"] == name and has_address(service):
            return service
    return None


def has_address(service: Object) -> bool:
    """Whether a Service has an address of its own, or gets one when it is made."""
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return False
    if not spec.get("clusterIP"):
        return not is_live(service)
    return str(spec["clusterIP"]) != "None"


def moment(text: object) -> float | None:
    """A time in a status, or None where there is none that can be read."""
    try:
        return seconds(str(text)) if text else None
    except ValueError:
        return None


def started_before(pod: Object, names: list[str], service: Object) -> bool:
    """Whether these containers run since before a Service was made, and so know nothing of it."""
    made = moment(service["metadata"].get("creationTimestamp"))
    started = {
        status.get("name"): running_since(status)
        for field in ("initContainerStatuses", "containerStatuses")
        for status in (pod.get("status") or {}).get(field) or []
    }
    times = [started.get(name) for name in names]
    return made is not None and all(time is not None and time < made for time in times)


def service_links(
    pod: Object, world: World, name: str, own: str, message: str
) -> Iterator[Finding]:
    """The finding on a Service whose variables take the place of the API server's ``own`` one."""
    hit = [(path, item) for path, item in callers(pod, world) if own not in environment(item)]
    service = linked(pod, world, name) if hit else None
    if service is None:
        return
    address = (service.get("spec") or {}).get("clusterIP")
    here = at(service, "spec.clusterIP", address, here=True)
    links = at(pod, "spec.enableServiceLinks", pod["spec"].get("enableServiceLinks"))
    later = started_before(pod, [item["name"] for _, item in hit], service)
    yield Finding(
        message + (" from the next start on" if later else ""),
        here,
        (here, links),
        patch_pod(
            pod,
            world,
            {"enableServiceLinks": False},
            f"keep Services out of the environment, or name service {name} "
            "something else (pods are recreated)",
        ),
        certainty="likely",
        severity="warning" if later else "",
    )


@check("SAT902", on="Pod", severity="error", stage="network")
def shadowed_kubernetes_service(pod: Object, world: World) -> Iterator[Finding]:
    """A Service named kubernetes in the pod's namespace hides the API server.

    ### What goes wrong

    The kubelet tells containers about the Services of their namespace by variables named after
    them. A Service named `kubernetes` there overwrites `KUBERNETES_SERVICE_HOST` and
    `KUBERNETES_SERVICE_PORT`, which mean the one in namespace `default`. Clients then talk to that
    Service: connection refused, `x509: certificate is valid for …, not …`, or 401.

    ### How to fix it

    Give the Service another name, or set `enableServiceLinks: false`, which takes the variables of
    all other Services away and leaves those of the API server alone. Pods have to be made anew.
    """
    if pod["metadata"].get("namespace", "") == "default":
        return
    message = f"service kubernetes in its own namespace is what {HOST} means there"
    yield from service_links(pod, world, "kubernetes", HOST, message)


@check("SAT903", on="Pod", severity="error", stage="network")
def service_link_env_collision(pod: Object, world: World) -> Iterator[Finding]:
    """A Service named kubernetes-service garbles the port of the API server.

    ### What goes wrong

    The kubelet makes a variable `NAME_PORT=tcp://ADDRESS:PORT` for each Service of the namespace.
    For one named `kubernetes-service` that is `KUBERNETES_SERVICE_PORT`, the port of the API
    server. Which of the two a container gets is decided anew at each start, so the same pod may
    work today and not tomorrow: `dial tcp: lookup tcp: no such host`, `parse
    "https://10.96.0.1:tcp://10.96.7.7:443"`.

    ### How to fix it

    Give the Service another name, or set `enableServiceLinks: false`, which takes the variables of
    all other Services away and leaves those of the API server alone. Pods have to be made anew.
    """
    message = f"service kubernetes-service may overwrite {PORT} with a URL"
    yield from service_links(pod, world, "kubernetes-service", PORT, message)


# --- certificates, proxies, names

# Who publishes kube-root-ca.crt: kube-controller-manager, or a program that it is built into.
PUBLISHERS = ("kube-controller-manager", "k3s", "rke2", "k0s", "microshift", "hyperkube")


@check("SAT905", on="Pod", severity="error", stage="network")
def apiserver_ca_mismatch(pod: Object, world: World) -> Iterator[Finding]:
    """The CA certificate beside the token is not that of the API server.

    ### What goes wrong

    The token comes with `ca.crt`, by which clients know the API server. It is taken from the
    ConfigMap `kube-root-ca.crt` of the namespace, which holds no certificate here, or was changed
    by hand and differs from that in `kube-system`: `x509: certificate signed by unknown authority`.
    kube-controller-manager puts such changes right at once; if one stays, that controller does not
    run or may not write here.

    Where all namespaces hold the same outdated certificate (`--root-ca-file` of
    kube-controller-manager was forgotten when the CA was changed) nothing here can tell.

    ### How to fix it

    Get kube-controller-manager going and delete the ConfigMap, or copy that of `kube-system`. Pods
    see it within a minute or so, those that mount it by `subPath` when they are made anew.
    """
    if not callers(pod, world) or uses_root_ca(pod) is None:
        return
    namespace = pod["metadata"].get("namespace", "")
    config_map = world.get("ConfigMap", namespace, ROOT_CA_CONFIG_MAP)
    text = ((config_map or {}).get("data") or {}).get("ca.crt")
    if config_map is None or not text or not is_live(config_map):
        return  # SAT305, or not the cluster's own
    here = at(config_map, "data.ca.crt", None, here=True)
    if "-----BEGIN CERTIFICATE-----" not in text:
        yield Finding(
            f"configmap {ROOT_CA_CONFIG_MAP} holds no certificate to know the API server by",
            here._replace(value="no PEM certificate"),
            (here._replace(value="no PEM certificate"),),
            copy_root_ca(namespace, world, delete=True),
        )
        return
    manager = next(writers(config_map, "f:data", "f:ca.crt"), None)
    if manager is None or manager.startswith(PUBLISHERS) or namespace == "kube-system":
        return
    other = world.get("ConfigMap", "kube-system", ROOT_CA_CONFIG_MAP)
    right = ((other or {}).get("data") or {}).get("ca.crt") or ""
    if other is None or not right or certificates(text) & certificates(right):
        return
    here = here._replace(value=f"written by {manager}")
    yield Finding(
        f"configmap {ROOT_CA_CONFIG_MAP} holds another certificate than that of kube-system",
        here,
        (here, at(other, "data.ca.crt", "another certificate")),
        copy_root_ca(namespace, world, delete=True),
        certainty="likely",
    )


def certificates(text: str) -> set[str]:
    """The PEM certificates in a text, without line breaks."""
    return {
        "".join(part.partition("-----END")[0].split())
        for part in text.split("-----BEGIN CERTIFICATE-----")[1:]
    }


@check("SAT906", on="Pod", severity="warning", stage="network", deliberate=True)
def proxy_without_no_proxy(pod: Object, world: World) -> Iterator[Finding]:
    """Requests to the API server are sent to a proxy.

    ### What goes wrong

    The container has `HTTPS_PROXY` (or `https_proxy`) in its environment, and `NO_PROXY` does not
    name the address of the API server, to which clients connect by its IP address: names such as
    `.svc` do not cover it. So they ask the proxy, which hardly ever may or can reach it: timeouts,
    403 or 407 with HTML, `x509` errors about the proxy's certificate.

    What a container gets by `envFrom` cannot be seen here.

    ### How to fix it

    Add `$(KUBERNETES_SERVICE_HOST)` to `NO_PROXY`: the kubelet puts the address in its place.
    """
    odd: dict[str, Object] = {}
    evidence: list[Evidence] = []
    for path, container in callers(pod, world):
        values = environment(container)
        proxy = next((name for name in ("HTTPS_PROXY", "https_proxy") if values.get(name)), None)
        if proxy is None or container.get("envFrom"):
            continue
        names = [name for name in ("NO_PROXY", "no_proxy") if name in values]
        if HOST in values or any(values[name] is None for name in names):
            continue
        listed = [entry for name in names for entry in (values[name] or "").split(",")]
        entries = [entry.strip() for entry in listed if entry.strip()]
        if any(is_address(entry) for entry in entries):
            service = world.get("Service", "default", "kubernetes") or {}
            host = (service.get("spec") or {}).get("clusterIP") or ""
            if not host or any(covers(entry, host) for entry in entries):
                continue
        if "*" in entries:
            continue
        missing = [f"$({HOST})"]
        missing += [name for name in ("localhost", "127.0.0.1", ".svc") if name not in entries]
        wanted = ",".join(dict.fromkeys([*entries, *missing]))
        named = names or ["no_proxy" if proxy.islower() else "NO_PROXY"]
        odd[container["name"]] = {"env": [{"name": name, "value": wanted} for name in named]}
        evidence.append(variable_evidence(pod, path, container, proxy))
        if names:
            evidence += [variable_evidence(pod, path, container, name, here=True) for name in names]
        else:
            evidence.append(at(pod, f"{path}.env", "no NO_PROXY", here=True))
    if not odd:
        return
    where = ", ".join(odd)
    yield Finding(
        f"requests of {where} to the API server go to a proxy: NO_PROXY does not name its address",
        next(one for one in evidence if one.here),
        tuple(evidence),
        patch_pod(
            pod,
            world,
            grouped(pod, odd),
            "name the address of the API server in NO_PROXY (pods are recreated)",
        ),
        certainty="likely",
    )


def is_address(entry: str) -> bool:
    """Whether an entry of NO_PROXY is about IP addresses, as far as one can tell."""
    return entry[:1].isdigit() or entry.startswith("[") or entry.count(":") > 1


def covers(entry: str, host: str) -> bool:
    """Whether an entry of NO_PROXY means an IP address: itself, its network, or a pattern."""
    from ipaddress import ip_address, ip_network

    bare = entry.strip("[]")
    if not ip_network_like(bare):
        # with a port, or a pattern that some programs understand
        bare = bare.partition(":")[0] if bare.count(":") == 1 else bare
        if not ip_network_like(bare):
            return "*" in bare and host.startswith(bare.partition("*")[0])
    try:
        return ip_address(host) in ip_network(bare, strict=False)
    except ValueError:
        return False


def ip_network_like(text: str) -> bool:
    """Whether a text is an IP address or a CIDR."""
    from ipaddress import ip_network

    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


# The proxies of meshes that take over the connections of a pod, and who makes them do so.
MESHES = {
    "istio-proxy": ("istio-init", "istio-validation"),
    "linkerd-proxy": ("linkerd-init", "linkerd-network-validator"),
}


@check("SAT907", on="Pod", severity="hint", stage="network")
def mesh_sidecar_not_ready(pod: Object, world: World) -> Iterator[Finding]:
    """The program may have asked the API server before the mesh's proxy was ready.

    ### What goes wrong

    Istio and Linkerd send all connections of a pod to their proxy. Until that is ready they fail:
    `connection refused`, `EOF`. Init containers run before it for good, unless it is a native
    sidecar (an init container with `restartPolicy: Always`); others fail in their first seconds and
    fare well when they are restarted. Here a container with a token ended with an error at that
    time, which may have other reasons: a guess.

    ### How to fix it

    Let the containers wait for the proxy, or keep the connections of init containers to the API
    server away from it, by an annotation of the pod. Native sidecars do not have the fault.
    """
    sidecar = next(
        (item for item in pod["spec"].get("containers") or [] if item["name"] in MESHES), None
    )
    if sidecar is None or not is_live(pod):
        return
    status = pod.get("status") or {}
    states = {
        one.get("name"): one
        for field in ("initContainerStatuses", "containerStatuses")
        for one in status.get(field) or []
    }
    names = [item["name"] for item in pod["spec"].get("initContainers") or []]
    redirected = next(
        (index for index, name in enumerate(names) if name in MESHES[sidecar["name"]]), len(names)
    )
    proxy_start = running_since(states.get(sidecar["name"]) or {})
    for _, container in callers(pod, world):
        name = container["name"]
        if name == sidecar["name"] or container.get("restartPolicy") == "Always":
            continue
        ended = last_failure(states.get(name) or {})
        if ended is None:
            continue
        early = name in names
        if early and names.index(name) < redirected:
            continue
        if not early and not died_at_start(ended, proxy_start):
            continue
        metadata = wait_for_proxy(pod, sidecar["name"], early, world)
        if metadata is None:
            continue
        value = f"{name} ended with {ended['exitCode']}"
        field = "initContainerStatuses" if early else "containerStatuses"
        here = at(pod, f"status.{field}", value, here=True)
        yield Finding(
            f"{name} ended with an error before {sidecar['name']} was ready",
            here,
            (here, at(pod, "spec.containers", f"{sidecar['name']}, not a native sidecar")),
            patch_pod(
                pod,
                world,
                {},
                "keep the connections of init containers to the API server away from the proxy"
                if early
                else "let the containers wait for the proxy (pods are recreated)",
                metadata=metadata,
            ),
            certainty="possible",
        )
        return


def running_since(status: Object) -> float | None:
    """When a container started that runs now."""
    return moment(((status.get("state") or {}).get("running") or {}).get("startedAt"))


def last_failure(status: Object) -> Object | None:
    """The end of a container, if that was an error: of this run, else of the one before."""
    for field in ("state", "lastState"):
        ended = (status.get(field) or {}).get("terminated")
        if ended and ended.get("exitCode"):
            return dict(ended)
    return None


def died_at_start(ended: Object, proxy_start: float | None) -> bool:
    """Whether a container that ended was started with the proxy, and did not live for long."""
    start, end = moment(ended.get("startedAt")), moment(ended.get("finishedAt"))
    if proxy_start is None or start is None or end is None:
        return False
    return abs(start - proxy_start) <= 10 and end - start <= 30


def wait_for_proxy(pod: Object, sidecar: str, early: bool, world: World) -> Object | None:
    """The annotations that mend it, as pod metadata; None where they are there already."""
    annotations = pod["metadata"].get("annotations") or {}
    if not early:
        if sidecar == "linkerd-proxy":
            key, value = "config.linkerd.io/proxy-await", "enabled"
            # which is the default
            if annotations.get(key, value) == value:
                return None
        else:
            key, value = "proxy.istio.io/config", "holdApplicationUntilProxyStarts: true"
            present = annotations.get(key, "").strip()
            if "holdApplicationUntilProxyStarts" in present or present.startswith("{"):
                return None
            value = f"{present}\n{value}".lstrip()
    elif sidecar == "linkerd-proxy":
        key, value = "config.linkerd.io/skip-outbound-ports", "443"
        if annotations.get(key):
            return None
    else:
        key = "traffic.sidecar.istio.io/excludeOutboundIPRanges"
        service = world.get("Service", "default", "kubernetes") or {}
        host = (service.get("spec") or {}).get("clusterIP")
        if annotations.get(key) or not host:
            return None
        value = f"{host}/{128 if ':' in host else 32}"
    return {"annotations": {key: value}}


@check("SAT908", on="Pod", severity="error", stage="network")
def dns_name_instead_of_ip(pod: Object, world: World) -> Iterator[Finding]:
    """The program is told a cluster name that the pod cannot resolve.

    ### What goes wrong

    Command, arguments or environment name `kubernetes.default`, but the pod does not ask the DNS of
    the cluster: its `dnsPolicy` is `Default` (the node's DNS), or `None` with public servers, or
    `ClusterFirst` on the network of the host, where that means `Default`: `lookup
    kubernetes.default.svc: no such host`. Client libraries left to themselves use an IP address and
    do not mind.

    ### How to fix it

    Set `dnsPolicy` to `ClusterFirst`, with `hostNetwork` to `ClusterFirstWithHostNet`, or leave the
    name away.
    """
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    network = bool(spec.get("hostNetwork"))
    servers = (spec.get("dnsConfig") or {}).get("nameservers") or []
    foreign = policy == "Default" or (policy == "ClusterFirst" and network)
    if policy == "None":
        foreign = bool(servers) and all(is_public(server) for server in servers)
    elif servers:
        # they are asked besides, and may be those of the cluster
        foreign = False
    if not foreign:
        return
    for path, container in callers(pod, world):
        place = named_api_server(path, container)
        if place is None:
            continue
        wanted = "ClusterFirstWithHostNet" if network else "ClusterFirst"
        here = at(pod, "spec.dnsPolicy", spec.get("dnsPolicy"), here=True)
        evidence = [here, at(pod, *place)]
        if network:
            evidence.insert(1, at(pod, "spec.hostNetwork", True))
        if policy == "None":
            evidence.insert(1, at(pod, "spec.dnsConfig.nameservers", ", ".join(servers)))
        yield Finding(
            f"{container['name']} is told {place[1]}, but the pod does not ask the cluster's DNS",
            here,
            tuple(evidence),
            patch_pod(
                pod,
                world,
                {"dnsPolicy": wanted, **({"dnsConfig": None} if policy == "None" else {})},
                "have it ask the cluster's DNS (pods are recreated)",
            ),
            certainty="likely",
        )
        return


def is_public(server: str) -> bool:
    """Whether a name server is one of the Internet, which knows nothing of a cluster."""
    from ipaddress import ip_address

    try:
        return ip_address(server).is_global
    except ValueError:
        return False


# Where the name is that of an issuer, an audience or a certificate, nobody connects to it.
NOT_AN_ADDRESS = ("issuer", "audience", "aud=", "jwks", "san", "hostname")


def named_api_server(path: str, container: Object) -> tuple[str, str] | None:
    """The first word by which a container is told kubernetes.default: (its path, itself)."""
    previous = ""
    for field in ("command", "args"):
        for index, word in enumerate(container.get(field) or []):
            told = f"{previous if previous.startswith('-') else ''} {word}".lower()
            previous = "" if "=" in word else word
            if means_api_server(word) and not any(mark in told for mark in NOT_AN_ADDRESS):
                return f"{path}.{field}[{index}]", word
    for index, variable in enumerate(container.get("env") or []):
        value = variable.get("value") or ""
        name = variable["name"].lower()
        excepted = "proxy" in name or any(mark in name for mark in NOT_AN_ADDRESS)
        if means_api_server(value) and not excepted:
            return f"{path}.env[{index}]", f"{variable['name']}={value}"
    return None


def means_api_server(text: str) -> bool:
    """Whether a word is the API server's name in the cluster, maybe in a URL; no whole script."""
    host = text.rpartition("=")[2].rpartition("//")[2].partition("/")[0].partition(":")[0]
    return host == "kubernetes.default" or host.startswith("kubernetes.default.svc")


@check("SAT909", on="Pod", severity="hint", stage="token")
def sa_lookup_disabled(pod: Object, world: World) -> Iterator[Finding]:
    """The API server does not look whether a token's account is still there.

    ### What goes wrong

    kube-apiserver runs with `--service-account-lookup=false`: tokens go on working after their
    service account, Secret or pod is deleted, until they expire, and legacy ones for ever. Nothing
    fails, but no token can be revoked. Said of the pod of kube-apiserver only, where it can be
    seen.

    ### How to fix it

    Take the flag out of the command of kube-apiserver: looking is the default. In a static pod that
    is its manifest on the node, mostly `/etc/kubernetes/manifests/kube-apiserver.yaml`.
    """
    for path, container in container_paths(pod):
        words = container.get("command") or []
        if not words or words[0].rpartition("/")[2] != "kube-apiserver":
            continue
        for field in ("command", "args"):
            for index, word in enumerate(container.get(field) or []):
                name, _, value = word.partition("=")
                if name.lstrip("-") != "service-account-lookup" or value.lower() not in OFF:
                    continue
                here = at(pod, f"{path}.{field}[{index}]", word, here=True)
                kept = [one for one in container[field] if one != word]
                yield Finding(
                    "revoked tokens go on working: the API server does not look their account up",
                    here,
                    (here,),
                    without_flag(pod, world, {container["name"]: {field: kept}}),
                )
                return


# What Go's strconv.ParseBool takes for false, in lower case.
OFF = ("false", "f", "0")


def without_flag(pod: Object, world: World, changes: dict[str, Object]) -> Fix:
    """A fix that changes the command of kube-apiserver, which is mostly a static pod."""
    if not is_mirror(pod):
        return patch_pod(pod, world, grouped(pod, changes), "leave the flag out")
    metadata = pod["metadata"]
    node = pod["spec"].get("nodeName") or "its node"
    show = "jsonpath={.spec.containers[*].command}"
    words = ("get", "pod", metadata["name"], "-o", show)
    return Fix(
        f"leave the flag out of /etc/kubernetes/manifests/kube-apiserver.yaml on {node}, "
        "and see that it is gone",
        (kubectl(world, metadata.get("namespace", ""), *words),),
    )
