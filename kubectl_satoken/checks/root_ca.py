"""The CA certificate that belongs to every token is not there."""

from collections.abc import Iterator

from ..admission import ROOT_CA_CONFIG_MAP
from ..fixes import kubectl, pipe
from ..mounts import containers, is_mirror
from ..workloads import finished
from ..world import Object, Unseen, World
from . import Evidence, Finding, Fix, at, check
from .kubelet import told


def uses_root_ca(pod: Object) -> Evidence | None:
    """The first projected source of a mounted volume that needs kube-root-ca.crt."""
    mounted = {
        mount.get("name")
        for container in containers(pod)
        for mount in container.get("volumeMounts") or []
    }
    for index, volume in enumerate(pod["spec"].get("volumes") or []):
        if volume.get("name") not in mounted:
            continue
        for number, source in enumerate((volume.get("projected") or {}).get("sources") or []):
            config_map = source.get("configMap") or {}
            if config_map.get("name") == ROOT_CA_CONFIG_MAP and not config_map.get("optional"):
                path = f"spec.volumes[{index}].projected.sources[{number}].configMap.name"
                return at(pod, path, ROOT_CA_CONFIG_MAP)
    return None


@check("SAT305", on="Pod", severity="error", stage="kubelet")
def kube_root_ca_missing(pod: Object, world: World) -> Iterator[Finding]:
    """The ConfigMap kube-root-ca.crt is not there, or has no certificate.

    ### What goes wrong

    The volume with the token also takes `ca.crt` from the ConfigMap `kube-root-ca.crt` of the
    namespace. Where that is missing the pod stays in ContainerCreating:
    `MountVolume.SetUp failed for volume "kube-api-access-…" : configmap "kube-root-ca.crt" not
    found`, or `configmap references non-existent config key: ca.crt`. kube-controller-manager
    publishes it into every namespace, and puts it back when it is deleted or changed; if it stays
    away, that controller (`root-ca-certificate-publisher-controller`) does not run, may not write
    here, or the namespace is being deleted.

    ### How to fix it

    Get the controller going. Until then, copy the ConfigMap from a namespace that has it, or make
    it from the CA certificate in your kubeconfig; the controller takes it over later.
    """
    if is_mirror(pod) or finished(pod):
        return
    source = uses_root_ca(pod)
    if source is None:
        return
    namespace = pod["metadata"].get("namespace", "")
    said = None
    unsure = False
    try:
        config_map = world.get("ConfigMap", namespace, ROOT_CA_CONFIG_MAP)
    except Unseen:
        said = told(pod, world, "SAT305")
        if said is None or said.part("name") not in (ROOT_CA_CONFIG_MAP, "ca.crt"):
            raise
        # the kubelet has seen what we may not
        config_map = {} if said.part("name") == "ca.crt" else None
        unsure = True
    if config_map is not None and (config_map.get("data") or {}).get("ca.crt"):
        return
    state = "not found" if config_map is None else "has no ca.crt"
    here = Evidence("ConfigMap", namespace, ROOT_CA_CONFIG_MAP, "data", state, here=True)
    evidence = [source, here]
    said = said or told(pod, world, "SAT305")
    if said is not None:
        evidence.append(said.evidence._replace(here=False))
    yield Finding(
        f"the token cannot be mounted: configmap {ROOT_CA_CONFIG_MAP} "
        + ("does not exist" if config_map is None else "has no ca.crt")
        + f" in {namespace}",
        here,
        tuple(evidence),
        copy_root_ca(namespace, world, delete=config_map is not None),
        certainty="likely" if unsure else "certain",
    )


def copy_root_ca(namespace: str, world: World, *, delete: bool) -> Fix:
    """A fix that puts the CA certificate into a namespace, from the best source there is."""
    try:
        other = world.get("ConfigMap", "kube-system", ROOT_CA_CONFIG_MAP)
    except Unseen:
        other = None
    create = kubectl(
        world,
        namespace,
        "create",
        "configmap",
        ROOT_CA_CONFIG_MAP,
        "--from-file=ca.crt=/dev/stdin",
    )
    if other is not None and (other.get("data") or {}).get("ca.crt"):
        source: tuple[str, ...] = (
            kubectl(
                world,
                "kube-system",
                "get",
                "configmap",
                ROOT_CA_CONFIG_MAP,
                "-o",
                r"jsonpath={.data.ca\.crt}",
            ),
        )
        summary = "copy it from kube-system, and see why kube-controller-manager does not"
    else:
        source = (
            kubectl(
                world,
                "",
                "config",
                "view",
                "--raw",
                "--minify",
                "--flatten",
                "-o",
                "jsonpath={.clusters[0].cluster.certificate-authority-data}",
            ),
            "base64 -d",
        )
        summary = (
            "make it from the CA that your kubeconfig trusts, "
            "and see why kube-controller-manager does not"
        )
    commands = [pipe(*source, create)]
    if delete:
        commands.insert(0, kubectl(world, namespace, "delete", "configmap", ROOT_CA_CONFIG_MAP))
    return Fix(summary, tuple(commands))
