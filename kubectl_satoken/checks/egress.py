"""NetworkPolicies that keep a pod from the API server."""

from collections.abc import Iterator
from typing import NamedTuple

from ..fixes import and_manifest
from ..selectors import selects
from ..workloads import is_live, owner_of
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .network import HOST, callers, environment, everything

# The Service and the EndpointSlice of the API server itself, which it writes and keeps.
API_SERVICE = ("default", "kubernetes")


class Address(NamedTuple):
    """Where the API server listens."""

    host: str
    port: int

    @property
    def block(self) -> str:
        """The host as a CIDR."""
        return f"{self.host}/{128 if ':' in self.host else 32}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def limits_egress(policy: Object) -> bool:
    """Whether a policy is about outgoing traffic: as it says, else whether it has rules for it.

    The default is that of pkg/apis/networking/v1/defaults.go.
    """
    spec = policy.get("spec") or {}
    types = spec.get("policyTypes")
    return "Egress" in types if types else bool(spec.get("egress"))


def port_matches(rule: Object, port: int) -> bool:
    """Whether a rule is about TCP connections to a port; named ports are those of pods."""
    entries = rule.get("ports") or []
    if not entries:
        return True
    for entry in entries:
        if (entry.get("protocol") or "TCP") != "TCP":
            continue
        first = entry.get("port")
        if first is None:
            return True
        if isinstance(first, int) and first <= port <= (entry.get("endPort") or first):
            return True
    return False


def block_has(block: Object, host: str) -> bool:
    """Whether an ipBlock contains an address."""
    from ipaddress import ip_address, ip_network

    try:
        address = ip_address(host)
        if address not in ip_network(block.get("cidr") or "", strict=False):
            return False
        return not any(
            address in ip_network(hole, strict=False) for hole in block.get("except") or []
        )
    except ValueError:
        return False


def lets_through(rules: list[Object], address: Address) -> bool:
    """Whether any of the rules allows connections to an address that is not a pod's."""
    for rule in rules:
        if not port_matches(rule, address.port):
            continue
        peers = rule.get("to") or []
        if not peers or any(block_has(peer.get("ipBlock") or {}, address.host) for peer in peers):
            return True
    return False


def may_let_through(rules: list[Object]) -> bool:
    """Whether any of the rules could allow connections to an API server at an unknown address.

    Not those for DNS, or for UDP, or for pods: the API server is hardly ever one.
    """
    for rule in rules:
        peers = rule.get("to") or []
        if peers and not any(peer.get("ipBlock") for peer in peers):
            continue
        entries = rule.get("ports") or []
        if not entries or any(
            (entry.get("protocol") or "TCP") == "TCP"
            and not (entry.get("port") == 53 and not entry.get("endPort"))
            for entry in entries
        ):
            return True
    return False


def service_addresses(world: World) -> list[Address]:
    """The addresses of the Service kubernetes in namespace default. Raises Unseen."""
    service = world.get("Service", *API_SERVICE)
    spec = (service or {}).get("spec") or {}
    hosts = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [
        Address(host, port["port"])
        for host in hosts
        if host and host != "None"
        for port in spec.get("ports") or []
        if port.get("port")
    ]


def endpoint_addresses(world: World) -> list[Address]:
    """The addresses of the API servers themselves. Raises Unseen."""
    piece = world.get("EndpointSlice", *API_SERVICE) or {}
    return [
        Address(host, port["port"])
        for endpoint in piece.get("endpoints") or []
        for host in endpoint.get("addresses") or []
        for port in piece.get("ports") or []
        if port.get("port")
    ]


@check("SAT904", on="Pod", severity="error", stage="network", deliberate=True)
def networkpolicy_egress_blocks_apiserver(pod: Object, world: World) -> Iterator[Finding]:
    """A NetworkPolicy lets no traffic out to the API server.

    ### What goes wrong

    NetworkPolicies with the type `Egress` select the pod, and none of their rules allows
    connections to the API server: `dial tcp 10.96.0.1:443: i/o timeout`, `context deadline
    exceeded`. It is no pod in nearly all clusters, so only an `ipBlock`, or a rule for every
    destination, can allow it: `namespaceSelector` and `podSelector` never match it. Most network
    plugins look at the address behind the Service (`kubectl -n default get endpointslices
    kubernetes`), some at that of the Service, so both belong into the rule.

    Policies of the network plugin's own types (CiliumNetworkPolicy, GlobalNetworkPolicy,
    AdminNetworkPolicy) may allow it all the same and are not looked at, and a plugin may know
    nothing of policies at all: likely, not certain.

    ### How to fix it

    Allow it by a policy of its own: policies add up. The addresses of a managed API server may
    change one day; allow its port to every destination where that is a worry. A pod that has no
    business with the API needs no token: `automountServiceAccountToken: false`.
    """
    spec = pod["spec"]
    asking = [] if spec.get("hostNetwork") else callers(pod, world)
    if not asking:
        return
    labels = pod["metadata"].get("labels") or {}
    policies = [
        policy
        for policy in everything("NetworkPolicy", pod, world)
        if limits_egress(policy)
        and selects((policy.get("spec") or {}).get("podSelector") or {}, labels)
    ]
    if not policies:
        return
    rules = [rule for policy in policies for rule in policy["spec"].get("egress") or []]
    services: list[Address] = []
    servers: list[Address] = []
    try:
        # some platforms send their pods elsewhere, by a variable of their own
        if not any(HOST in environment(item) for _, item in asking):
            services, servers = service_addresses(world), endpoint_addresses(world)
    except Unseen:
        # what lets nothing through needs no address to be known
        if may_let_through(rules) and (world.source == "cluster" or is_live(pod)):
            raise
    if not services and may_let_through(rules):
        return
    through = reachable(rules, servers or services)
    if through and len(through) == len(servers or services):
        return
    certainty, message = "likely", "lets no traffic out to the API server"
    if through:
        certainty = "possible"
        message = f"lets traffic out to {', '.join(map(str, through))} only, of the API servers"
    elif reachable(rules, services):
        certainty = "possible"
        message = "lets traffic out to the Service of the API server, but not to what is behind it"
    elif not services:
        certainty = "possible"
    names = ", ".join(policy["metadata"]["name"] for policy in policies)
    first = policies[0]
    here = at(first, "spec.egress", egress_words(first), here=True)
    evidence = [here, *(at(one, "spec.egress", egress_words(one)) for one in policies[1:])]
    evidence += [
        Evidence(kind, *API_SERVICE, path, str(address))
        for kind, path, addresses in (
            ("Service", "spec.clusterIP", services),
            ("EndpointSlice", "endpoints", servers),
        )
        for address in addresses
    ]
    plural = "networkpolicy" if len(policies) == 1 else "networkpolicies"
    if len(policies) > 1:
        message = message.replace("lets ", "let ", 1)
    yield Finding(
        f"{plural} {names} {message}",
        here,
        tuple(evidence),
        allow(pod, world, policies[0], [*services, *servers]),
        certainty=certainty,
    )


def reachable(rules: list[Object], addresses: list[Address]) -> list[Address]:
    """Those of the addresses to which the rules allow connections."""
    return [address for address in addresses if lets_through(rules, address)]


def egress_words(policy: Object) -> str:
    """What a policy lets out, in a few words."""
    rules = policy["spec"].get("egress") or []
    words = []
    for rule in rules:
        peers = []
        for peer in rule.get("to") or []:
            block = (peer.get("ipBlock") or {}).get("cidr")
            peers.append(str(block) if block else "pods")
        ports = [str(entry.get("port") or "all ports") for entry in rule.get("ports") or []]
        where = ", ".join(dict.fromkeys(peers)) or "anywhere"
        words.append(f"{where} on {', '.join(ports)}" if ports else where)
    return "; ".join(words) or "nothing"


# Labels that a controller gives to one pod, or to those of one revision.
GENERATED_LABELS = (
    "pod-template-hash",
    "pod-template-generation",
    "controller-revision-hash",
    "controller-uid",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/job-completion-index",
)


def own_selector(pod: Object, world: World, policy: Object) -> Object:
    """A selector for the pods of a workload: its own, else their labels, else the policy's."""
    owner = owner_of(pod, world)
    spec = ((owner.object if owner else None) or {}).get("spec") or {}
    chosen = (spec.get("selector") or {}).get("matchLabels")
    if isinstance(chosen, dict) and chosen and not set(chosen) & set(GENERATED_LABELS):
        return dict(spec["selector"])
    labels = {
        key: value
        for key, value in (pod["metadata"].get("labels") or {}).items()
        if key not in GENERATED_LABELS
    }
    if labels:
        return {"matchLabels": labels}
    return dict(policy["spec"].get("podSelector") or {})


def allow(pod: Object, world: World, policy: Object, addresses: list[Address]) -> Fix:
    """A fix that adds a policy which allows connections to the API server."""
    owner = owner_of(pod, world)
    name = owner.name if owner else pod["metadata"]["name"]
    by_port: dict[int, list[str]] = {}
    for address in addresses:
        by_port.setdefault(address.port, []).append(address.block)
    egress = [
        {
            "to": [{"ipBlock": {"cidr": block}} for block in dict.fromkeys(blocks)],
            "ports": [{"protocol": "TCP", "port": port}],
        }
        for port, blocks in by_port.items()
    ] or [{"ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]}]
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": f"{name}-to-apiserver",
            "namespace": pod["metadata"].get("namespace", ""),
        },
        "spec": {
            "podSelector": own_selector(pod, world, policy),
            "policyTypes": ["Egress"],
            "egress": egress,
        },
    }
    if addresses:
        summary = "allow the API server by a policy of its own"
    else:
        summary = (
            "allow the usual ports of API servers by a policy of its own; narrow it to the "
            "addresses that kubectl -n default get endpointslices kubernetes shows"
        )
    return and_manifest(world, manifest, summary)
