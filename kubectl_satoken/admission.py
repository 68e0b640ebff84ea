"""What the API server's ServiceAccount admission does to a pod, for pods that are only on paper.

A live pod shows in its stored volumes and mounts what was done to it; a manifest or a template does
not, so the same is done here. The source is plugin/pkg/admission/serviceaccount/admission.go of
Kubernetes 1.36; the tests compare with ``kubectl create --dry-run=server``.
"""

from .world import Object

TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_VOLUME_PREFIX = "kube-api-access-"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
ROOT_CA_CONFIG_MAP = "kube-root-ca.crt"

# The name that the volume gets here; the API server appends five random characters instead.
PAPER_VOLUME = TOKEN_VOLUME_PREFIX + "xxxxx"


def should_automount(service_account: Object | None, pod: Object) -> bool:
    """Whether a pod gets a token volume: the pod's own word first, then the account's, else yes.

    ``service_account`` is None where it is not known; the default is taken then.
    """
    for value in (
        pod["spec"].get("automountServiceAccountToken"),
        (service_account or {}).get("automountServiceAccountToken"),
    ):
        if value is not None:
            return bool(value)
    return True


def token_volume(name: str = PAPER_VOLUME) -> Object:
    """The volume that is added: token, CA certificate and namespace."""
    return {
        "name": name,
        "projected": {
            "defaultMode": 420,
            "sources": [
                # 3607 is the lifetime by which the API server knows its own default projection
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {
                    "configMap": {
                        "name": ROOT_CA_CONFIG_MAP,
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }
                },
                {
                    "downwardAPI": {
                        "items": [
                            {
                                "path": "namespace",
                                "fieldRef": {
                                    "apiVersion": "v1",
                                    "fieldPath": "metadata.namespace",
                                },
                            }
                        ]
                    }
                },
            ],
        },
    }


def admit(pod: Object, service_account: Object | None) -> Object:
    """A copy of the pod as the ServiceAccount admission would store it.

    Fills ``serviceAccountName``, adds the token volume and its mounts, and takes the account's
    pull secrets. A mirror pod is left as it is. The account's absence, which makes the API server
    refuse the pod, is for a check to find.
    """
    spec: Object = dict(pod.get("spec") or {})
    admitted: Object = {**pod, "spec": spec}
    if MIRROR_ANNOTATION in ((pod.get("metadata") or {}).get("annotations") or {}):
        return admitted
    # the deprecated alias counts where the name is not given (pkg/apis/core/v1/conversion.go)
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    if should_automount(service_account, admitted):
        mount_token(spec)
    pull_secrets = (service_account or {}).get("imagePullSecrets")
    if pull_secrets and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [{"name": secret.get("name", "")} for secret in pull_secrets]
    return admitted


def mount_token(spec: Object) -> None:
    """Adds the token volume and a mount of it to each container that has none at that very path.

    The paths are compared as strings, as the API server does: another spelling of the same place
    counts as free. A volume whose name begins with kube-api-access- is taken for the token volume
    whatever it holds.
    """
    volumes = spec.get("volumes") or []
    name = next(
        (
            volume["name"]
            for volume in volumes
            if str(volume.get("name", "")).startswith(TOKEN_VOLUME_PREFIX)
        ),
        None,
    )
    needed = False
    for field in ("initContainers", "containers"):
        if not spec.get(field):
            continue
        containers = []
        for container in spec[field]:
            mounts = container.get("volumeMounts") or []
            if not any(mount.get("mountPath") == TOKEN_MOUNT_PATH for mount in mounts):
                mount = {
                    "name": name or PAPER_VOLUME,
                    "readOnly": True,
                    "mountPath": TOKEN_MOUNT_PATH,
                }
                container = {**container, "volumeMounts": [*mounts, mount]}
                needed = True
            containers.append(container)
        spec[field] = containers
    if needed and name is None:
        spec["volumes"] = [*volumes, token_volume()]
