"""What each command asks of a cluster: docs/rbac/ has the least ClusterRole for it.

They are made from the audit log of an API server: a user who may do everything runs the lines of a
part, and what was asked is what the role has. The test gives another user just that role. ``make
rights`` writes them.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.cluster import Cluster, start
from tests.migrating import pods_run
from tests.scenarios import (
    TOKEN_SECRET,
    Scenario,
    Stage,
    scenarios,
    service_account,
    template,
)
from tests.scenarios.kubelet import CSI_WORDS, on_node, says

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "rbac"


class Atom(NamedTuple):
    """A right: a verb on a resource of a group, or on a URL."""

    verb: str
    group: str
    resource: str
    url: str = ""


class Part(NamedTuple):
    """A role: what it is for, and the lines that ask for all of it.

    ``given`` are manifests that are there before, or ``faults`` names of scenarios: then the lines
    are run for each of them, about its ``$TARGET``, and ``after`` at the end. ``before`` is run by
    an administrator, and ``ready`` when what is given is there. ``$NS`` is the namespace. With
    ``pods`` they get ready, but for those whose template was changed when they are called stuck;
    with ``node`` they really run.
    """

    text: str
    lines: tuple[str, ...]
    given: str = ""
    faults: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    pods: bool = False
    ready: tuple[str, ...] = ()
    node: bool = False


def atoms(cluster: Cluster, user: str) -> dict[Atom, set[int]]:
    """What a user asked the API server for so far, and the statuses of the answers."""
    found: dict[Atom, set[int]] = {}
    for line in cluster.audit_log.read_text().splitlines():
        event = json.loads(line)
        if event["user"].get("username") != user or event["stage"] != "ResponseComplete":
            continue
        about = event.get("objectRef") or {}
        if "resource" in about:
            below = f"/{about['subresource']}" if about.get("subresource") else ""
            atom = Atom(event["verb"], about.get("apiGroup", ""), about["resource"] + below)
        else:
            atom = Atom(event["verb"], "", "", event["requestURI"].partition("?")[0])
        found.setdefault(atom, set()).add(event["responseStatus"]["code"])
        if atom.resource == "pods/exec":
            # over WebSocket, a get, the right to create is looked at as well, and not noted
            found.setdefault(atom._replace(verb="create"), set())
    # what everybody may who has logged in: discovery, and reviews of oneself
    return {atom: codes for atom, codes in found.items() if not is_basic(atom)}


def is_basic(atom: Atom) -> bool:
    """Whether every user has a right (system:basic-user, system:discovery)."""
    if atom.url:
        return atom.url.startswith(("/api", "/openapi", "/version", "/healthz"))
    return atom.resource.startswith("self")


def granted(name: str) -> set[Atom]:
    """The rights that a role gives, one by one."""
    found = set()
    for rule in yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["rules"]:
        for verb in rule["verbs"]:
            found |= {Atom(verb, "", "", url) for url in rule.get("nonResourceURLs", ())}
            for group in rule.get("apiGroups", ()):
                found |= {Atom(verb, group, resource) for resource in rule["resources"]}
    return found


def role(name: str, text: str, wanted: Iterable[Atom]) -> str:
    """The manifest of a role with these rights."""
    verbs: dict[tuple[str, str], set[str]] = {}
    urls: set[str] = set()
    for atom in wanted:
        if atom.url:
            urls.add(atom.url)
        else:
            verbs.setdefault((atom.group, atom.resource), set()).add(atom.verb)
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), own in sorted(verbs.items()):
        together.setdefault((group, tuple(sorted(own))), []).append(resource)
    rules: list[dict[str, list[str]]] = [
        {"apiGroups": [group], "resources": resources, "verbs": [*own]}
        for (group, own), resources in sorted(together.items())
    ]
    if urls:
        rules.append({"nonResourceURLs": sorted(urls), "verbs": ["get"]})
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"satoken-{name}"},
        "rules": rules,
    }
    comment = "".join(f"# {line}\n" for line in text.strip().splitlines())
    return comment + yaml.safe_dump(body, sort_keys=False, default_flow_style=None, width=96)


WEB = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: web}}
---
{template("serviceAccountName: web, containers: [{name: app, image: app}]")}
---
{template("serviceAccountName: web, containers: [{name: app, image: app}]", kind="Pod", name="one")}
---
apiVersion: v1
kind: Secret
metadata: {{name: handle}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader}}
rules: [{{apiGroups: [''], resources: [pods], verbs: [get]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: web}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: gone}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: raeder}}
subjects: [{{kind: ServiceAccount, name: web}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: gone-too}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: veiw}}
subjects: [{{kind: ServiceAccount, name: web}}]
"""

MOUNTING = (
    "serviceAccountName: web, volumes: [{name: t, secret: {secretName: web-token}}], "
    "containers: [{name: app, image: app, volumeMounts: [{name: t, mountPath: /t}]}]"
)
WEB_TOKEN = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: web}}
secrets: [{{name: web-token}}]
---{TOKEN_SECRET}"""
STUCK = MOUNTING.replace("web-token", "stuck-token")
MOUNTERS = "---".join(
    (
        WEB_TOKEN,
        TOKEN_SECRET.replace("web-token", "stuck-token"),
        template(MOUNTING),
        template(MOUNTING, kind="DaemonSet", name="every"),
        template(MOUNTING, kind="CronJob", name="nightly"),
        template(MOUNTING, kind="StatefulSet", name="db"),
        template(STUCK, kind="StatefulSet", name="stuck"),
        template(MOUNTING, kind="ReplicaSet", name="rs").replace("replicas: 1", "replicas: 0"),
        template(MOUNTING, kind="ReplicationController", name="rc").replace(
            "{selector: {app: rc}", "{replicas: 0, selector: {app: rc}"
        ),
        f"""
apiVersion: v1
kind: PodTemplate
metadata: {{name: shape}}
template: {{metadata: {{labels: {{app: shape}}}}, spec: {{{MOUNTING}}}}}
""",
    )
)
LEGACY = """
apiVersion: v1
kind: Secret
metadata: {name: old, annotations: {kubernetes.io/service-account.name: web}}
type: kubernetes.io/service-account-token
"""
# its token, once the controller has put one into it
OLD = 'for n in {1..50}; do T=$(kubectl get secret old -o jsonpath={.data.token}); \
test -n "$T" && break; sleep 0.2; done; base64 -d <<<$T'
# custom resources of other tests are not what is asked about
NO_CRD = "for n in {1..50}; do kubectl api-resources -o name | grep -q example || break; \
sleep 0.2; done"
NO_OTHERS = ("kubectl delete crd --all", NO_CRD)

OTHER_TYPES = "statefulset daemonset job cronjob replicaset replicationcontroller"

# A claim's volume goes by the name of its PersistentVolume.
CLAIMED = Scenario(
    "csi-volume-of-a-claim",
    "SAT611",
    "pod/web",
    on_node(),
    (says(CSI_WORDS.replace('volume "s"', 'volume "pvc-1"')),),
)

# Each of these has doctor read something that the others have not.
FAULTS = (
    *("rbac-no-binding", "rbac-binding-missing-role", "rbac-binding-missing-clusterrole"),
    *("sa-not-found", "sa-not-found-asked-for-a-pod", "enforce-mountable-secrets"),
    *("automount-disabled-sa-job", "automount-disabled-sa-cronjob"),
    "automount-disabled-sa-replicationcontroller",
    *("webhook-token-not-injected", "token-stripped-by-policy"),
    *("kubelet-apiserver-unreachable", "tokenrequest-denied-by-admission"),
    *("csi-token-request-failing-without-requests", "csi-volume-of-a-claim"),
    *("volume-error-blocks-rotation", "projected-foreign-audience-used-for-api"),
    "networkpolicy-egress-blocks-apiserver",
)

TOOLS = "{name: app, image: 'tools:1', imagePullPolicy: Never, command: [sleep, '3600']}"
BARE = "{name: app, image: 'bare:1', imagePullPolicy: Never}"
PROBED = "---".join(
    (
        service_account(),
        template(f"serviceAccountName: web, containers: [{TOOLS}]", kind="Pod", name="tools"),
        template(f"serviceAccountName: web, containers: [{BARE}]", kind="Pod", name="bare"),
    )
)

PARTS = {
    "doctor": Part(
        """
What doctor and snapshot read. With the built-in role view most causes are found; what is
missing of this is listed as not seen.
""",
        ("kubectl satoken doctor $TARGET",),
        faults=FAULTS,
        after=(
            "kubectl satoken doctor daemonset/none",
            "kubectl satoken doctor -A",
            "kubectl satoken doctor",
            "kubectl satoken snapshot -A",
        ),
    ),
    "verify": Part(
        """
What doctor --verify asks for besides: the token that the kubelet would get for a pod, and the
API server's verdict on it. Whoever has the first can be every service account.
""",
        ("kubectl satoken doctor pod/one --verify", "kubectl satoken doctor sa/web --verify"),
        WEB,
    ),
    "probe": Part(
        """
What doctor --probe asks for besides: a program in the container, or, where that has no shell,
an ephemeral container beside it, which stays in the pod until that ends.
""",
        (
            "kubectl satoken doctor pod/tools --probe",
            "kubectl satoken doctor pod/bare --probe --probe-image=busybox:1",
        ),
        PROBED,
        ready=("kubectl -n $NS wait --for=condition=Ready pod/tools pod/bare --timeout=60s",),
        node=True,
    ),
    "inspect": Part(
        """
What inspect asks for: the API server's verdict (tokenreviews), the keys that it publishes,
what the token is bound to, and what its account may do. With a Secret as target it reads its token.
""",
        (
            "kubectl satoken inspect plain",
            "kubectl satoken inspect of-pod",
            "kubectl satoken inspect of-node",
            "kubectl satoken inspect secret/old",
            "kubectl satoken inspect secret/handle",
        ),
        f"{WEB}---{LEGACY}",
        ready=(
            "kubectl -n $NS create token web >$WORK/plain",
            "kubectl -n $NS create token web --bound-object-kind=Pod --bound-object-name=one "
            ">$WORK/of-pod",
            "kubectl get node rights || kubectl create -f - <<'EOF'\n"
            "{apiVersion: v1, kind: Node, metadata: {name: rights}}\nEOF",
            "kubectl -n $NS create token web --bound-object-kind=Node --bound-object-name=rights "
            ">$WORK/of-node",
            "kubectl delete node rights",
        ),
    ),
    "can-i": Part(
        """
What can-i asks for: the answer itself (subjectaccessreviews), whom TARGET means, and, for
the reasons, RBAC. With subjectaccessreviews alone it still answers yes or no.
""",
        (
            "kubectl satoken can-i sa/web get pods",
            "kubectl satoken can-i sa/web list pods",
            "kubectl satoken can-i pod/one list nodes",
            "kubectl satoken can-i deploy/web watch pods --grant",
            "kubectl satoken can-i sa/wbe list pods",
            "kubectl satoken can-i sa/web list secrets --grant=patch",
            "kubectl satoken can-i sa/web --list",
            f"for type in {OTHER_TYPES}; do kubectl satoken can-i $type/none list pods; done",
        ),
        WEB,
    ),
    "who-can": Part(
        """
What who-can reads: RBAC, and with --expand the service accounts.
""",
        (
            "kubectl satoken who-can list pods -A",
            "kubectl satoken who-can get /openid/v1/jwks --expand",
        ),
        WEB,
    ),
    "mint": Part(
        """
What mint asks for: a token, and what it is bound to (--bound-to, pod/NAME); with --verify
the API server's verdict on it. Whoever has this can be every service account: in a Role of your own
name those that are meant (resourceNames).
""",
        (
            "kubectl satoken mint web -o claims",
            "kubectl satoken mint web --bound-to pod/one -o claims",
            "kubectl satoken mint web --bound-to secret/handle -o claims --verify",
            "kubectl satoken mint pod/one -o claims",
            "kubectl satoken mint web --bound-to node/none -o claims",
            "kubectl satoken mint wbe -o claims",
        ),
        WEB,
    ),
    "mint-revocable": Part(
        """
What mint --revocable needs besides: it makes a Secret for each token, removes it where the
token is refused, and lists them (--list).
""",
        (
            "kubectl satoken mint web --revocable --out private/token",
            "kubectl satoken mint web --revocable --duration=1m --out private/token",
            "kubectl satoken mint --list",
        ),
        WEB,
    ),
    "revoke": Part(
        """
What revoke reads, to tell all that uses a token, and does with --yes. It reads custom
resources as well: add list for those that have a pod template. To only look, leave out create,
delete and patch; to make accounts named default anew, add patch serviceaccounts. tokenreviews and
serviceaccounts/token are to see that tokens are refused: it does without, and says so. Whoever has
the latter can be every service account.
""",
        (
            "kubectl satoken revoke secret/old",
            f"{OLD} | kubectl satoken revoke - --yes",
            "kubectl satoken revoke secret/handle --yes",
            "kubectl satoken revoke pod/one --yes",
            "kubectl satoken revoke $(kubectl get pods -l app=web -o name | head -1) --yes",
            "kubectl satoken revoke sa/web --yes",
        ),
        f"{WEB}---{LEGACY}",
        before=NO_OTHERS,
    ),
    "migrate": Part(
        """
What migrate reads, without --apply: the token Secrets (never their values), and all that may use
one. Of custom resources that make pods add their types, with the verb list; what is missing is
listed as not seen, and no Secret is deleted then. That does not go for what is in no namespace:
it can only name a Secret, and attempts to use a token are seen before its Secret is deleted.
""",
        (
            "kubectl satoken migrate",
            "kubectl satoken migrate deploy/web -o json",
            "kubectl satoken migrate sa/web",
            "kubectl satoken migrate secret/web-token",
            f"for type in {OTHER_TYPES} pod podtemplate; do "
            "kubectl satoken migrate $type/none; done",
        ),
        MOUNTERS,
        before=NO_OTHERS,
        pods=True,
    ),
    "migrate-copies": Part(
        """
What migrate --copies needs besides: it reads ConfigMaps, and by the rights of migrate Secrets.
""",
        ("kubectl satoken migrate --copies",),
        MOUNTERS,
        before=NO_OTHERS,
        pods=True,
    ),
    "migrate-apply": Part(
        """
What migrate --apply and --undo need besides: they change templates and accounts, mark Secrets and
delete them, and make one again; they ask for a token of each account, and whether it is taken. Bind
it in the namespaces that are migrated.
""",
        (
            "kubectl satoken migrate secret/stuck-token --apply --yes --grace=0s --timeout=5s",
            "kubectl satoken migrate secret/web-token --apply --yes --grace=0s --timeout=60s",
            "kubectl satoken migrate secret/web-token --undo --yes",
        ),
        MOUNTERS,
        before=NO_OTHERS,
        pods=True,
    ),
}

BESIDES = {
    "verify": "doctor",
    "probe": "doctor",
    "mint-revocable": "mint",
    "migrate-apply": "migrate",
    "migrate-copies": "migrate",
}
EVERYTHING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: everything}
rules:
- {apiGroups: ['*'], resources: ['*'], verbs: ['*']}
- {nonResourceURLs: ['*'], verbs: ['*']}
"""


def play(part: Part, stage: Stage, user: str) -> list[str]:
    """Runs the lines of a part as a user, in the namespace of the stage; what they printed."""
    said: list[str] = []
    for line in part.before:
        stage.shell(line)
    if part.given:
        stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=part.given)
        if not part.node:
            stage.until("kubectl -n $NS get pods -l app=web -o name | grep -q pod/")
    for line in part.ready:
        stage.shell(line)
    if part.pods:
        with pods_run(stage, never=is_stuck):
            for name in ("deployment/web", "statefulset/db", "statefulset/stuck"):
                stage.until(f"kubectl -n $NS rollout status {name} --timeout=2s")
            return run(part.lines, stage, user)
    if not part.faults:
        return run(part.lines, stage, user)
    known = {one.name: one for one in (*scenarios("live"), CLAIMED)}
    for name in part.faults:
        own = Stage(stage.cluster, Path(stage.environ["WORK"]))
        own.open()
        try:
            own.environ["TARGET"] = build(known[name], own)
            said += run(part.lines, own, user)
        finally:
            for line in known[name].restore:
                own.shell(line, check=False)
            own.close()
    return said + run(part.after, stage, user)


def is_stuck(pod: Any) -> bool:
    """Whether a pod is of the changed template of what is called stuck."""
    stuck = pod["metadata"]["labels"].get("app") == "stuck"
    return stuck and not any("secret" in volume for volume in pod["spec"]["volumes"])


def build(scenario: Scenario, stage: Stage) -> str:
    """Makes a fault, and returns the target that doctor is asked about."""
    text = scenario.manifest.replace("NS", stage.namespace)
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=text)
    for line in scenario.events:
        if line != "wait-for-pod":
            stage.shell(line)
    if scenario.wait:
        stage.until(scenario.wait)
    if scenario.target == "pod":
        return f"pod/{stage.pods()[-1]['metadata']['name']}"
    return scenario.target


def run(lines: Iterable[str], stage: Stage, user: str) -> list[str]:
    """Runs shell lines as a user, in a folder where there is nothing of anybody else."""
    work = Path(stage.environ["WORK"])
    (work / "private").mkdir(mode=0o700, exist_ok=True)
    config = work / f"{user}.kubeconfig"
    config.write_bytes(stage.cluster.user(user).read_bytes())
    admin = stage.environ
    stage.environ = {**admin, "KUBECONFIG": str(config), "HOME": str(work)}
    try:
        stage.shell("kubectl config set-context --current --namespace=$NS")
        said = []
        for line in lines:
            done = stage.shell(f"cd $WORK && {line}", check=False)
            said.append(f"$ {line}\n{done.stdout}{done.stderr}")
        return said
    finally:
        stage.environ = admin


def asked(name: str, stage: Stage) -> set[Atom]:
    """What a part asks for where everything is allowed, but for what it is used besides."""
    user = f"all-{name}"
    stage.kubectl("apply", "-f", "-", stdin=EVERYTHING)
    binding = ("clusterrolebinding", user, "--clusterrole=everything", f"--user={user}")
    stage.kubectl("create", *binding)
    stage.until(f"kubectl auth can-i '*' '*' --as={user}")
    play(PARTS[name], stage, user)
    found = set(atoms(stage.cluster, user))
    stage.kubectl("delete", "clusterrolebinding", user)
    return found


def main() -> int:
    """Writes docs/rbac/, or the roles that are named."""
    FOLDER.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or list(PARTS)
    with tempfile.TemporaryDirectory(prefix="satoken-rights-") as folder:
        cluster = start(Path(folder) / "cluster", node=any(PARTS[name].node for name in wanted))
        try:
            found = {}
            for name in wanted:
                stage = Stage(cluster, Path(folder))
                stage.open()
                found[name] = asked(name, stage)
                stage.close()
        finally:
            cluster.stop()
    for name in wanted:
        # those that come first are made first
        own = found[name] - (granted(BESIDES[name]) if name in BESIDES else set())
        path = FOLDER / f"{name}.yaml"
        text = role(name, PARTS[name].text, own)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {os.path.relpath(path, ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
