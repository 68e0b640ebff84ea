"""Each near miss on a real API server: found first, and its printed fix turns the answer to yes."""

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from kubectl_satoken.rbac import Attributes, Question
from tests.cluster import Cluster
from tests.live.reviews import reviewed
from tests.scenarios import Stage, administrator, service_account

GROUP = "apiGroup: rbac.authorization.k8s.io"


class Near(NamedTuple):
    """A fault: what is applied, what is asked, which miss comes first, what must stay refused."""

    name: str
    miss: str
    code: str
    manifest: str
    question: str = "list pods"
    grants: str = ""  # what else the fix of the miss gives, as it says; else nothing else


def role(rules: str, kind: str = "Role", name: str = "web", more: str = "") -> str:
    where = ", namespace: NS" if kind == "Role" else ""
    return f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}
metadata: {{name: {name}{where}{more}}}
rules: {rules}
---"""


def binding(
    subject: str = "{kind: ServiceAccount, name: web, namespace: NS}",
    ref: str = "Role, name: web",
    where: str = "NS",
    name: str = "web",
) -> str:
    kind, place = ("RoleBinding", f", namespace: {where}") if where else ("ClusterRoleBinding", "")
    return f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}
metadata: {{name: {name}{place}}}
roleRef: {{{GROUP}, kind: {ref}}}
subjects: [{subject}]
---"""


PODS = "[{apiGroups: [''], resources: [pods], verbs: [list]}]"
WIDE = "ClusterRole, name: NS-web"


def of(group: str, resources: str, verbs: str, names: str = "") -> str:
    limit = f", resourceNames: [{names}]" if names else ""
    return f"[{{apiGroups: ['{group}'], resources: [{resources}], verbs: [{verbs}]{limit}}}]"


NEAR = [
    Near("another-namespace", "rolebinding-wrong-namespace", "", ""
         + role(PODS, "ClusterRole", "NS-web") + binding(ref=WIDE, where="NS-b")),
    Near("subject-namespace", "rbac-subject-wrong-namespace", "SAT504",
         role(PODS) + binding("{kind: ServiceAccount, name: web, namespace: NS-b}")),
    Near("subject-name", "rbac-subject-wrong-name", "SAT505",
         role(PODS) + binding("{kind: ServiceAccount, name: shop-web, namespace: NS}")),
    Near("subject-user", "rbac-subject-wrong-kind", "SAT506",
         role(PODS) + binding(f"{{kind: User, {GROUP}, name: web}}")),
    Near("subject-group", "rbac-subject-wrong-kind", "SAT506",
         role(PODS) + binding(f"{{kind: Group, {GROUP}, name: 'system:serviceaccount:NS'}}")),
    Near("no-role", "rbac-binding-missing-role", "SAT502", binding(ref="Role, name: gone")),
    Near("no-role-everywhere", "rbac-binding-missing-role", "SAT502",
         binding(ref="ClusterRole, name: NS-gone", where="", name="NS-web")),
    Near("misspelt-role", "rbac-binding-missing-role", "SAT502",
         role(PODS, name="pod-reader") + binding(ref="Role, name: pods-reader")),
    Near("role-kind", "rbac-roleref-kind-confusion", "SAT503",
         role(PODS, "ClusterRole", "NS-web") + binding(ref="Role, name: NS-web")),
    Near("verb-missing", "rbac-rule-missing", "", role(PODS) + binding(), "watch pods"),
    Near("verb-word", "rbac-verb-mistakes", "SAT512",
         role(of("", "pods", "read")) + binding(), grants="get pods"),
    Near("verb-case", "rbac-verb-mistakes", "SAT512", role(of("", "pods", "LIST")) + binding()),
    Near("group-extensions", "rbac-wrong-api-group", "SAT508",
         role(of("extensions", "deployments", "list")) + binding(), "list deployments.apps"),
    Near("group-version", "rbac-wrong-api-group", "SAT508",
         role(of("apps/v1", "deployments", "list")) + binding(), "list deployments.apps"),
    Near("group-core", "rbac-wrong-api-group", "SAT508",
         role(of("core", "pods", "list")) + binding()),
    Near("group-events", "rbac-rule-missing", "",
         role(of("", "events", "create")) + binding(), "create events.events.k8s.io"),
    Near("singular", "rbac-wrong-resource-name", "SAT509",
         role(of("", "pod", "list")) + binding()),
    Near("kind", "rbac-wrong-resource-name", "SAT509",
         role(of("apps", "Deployment", "list")) + binding(), "list deployments.apps"),
    Near("short-name", "rbac-wrong-resource-name", "SAT509",
         role(of("apps", "deploy", "list")) + binding(), "list deployments.apps"),
    Near("subresource-missing", "rbac-subresource-missing", "SAT510",
         role(of("", "pods", "get")) + binding(), "get pods/log"),
    Near("subresource-plural", "rbac-subresource-missing", "SAT510",
         role(of("", "pods/logs", "get")) + binding(), "get pods/log"),
    Near("subresource-star", "rbac-subresource-missing", "SAT510",
         role(of("", "pods/*", "get")) + binding(), "get pods/log", "get pods/status"),
    Near("exec-get", "rbac-rule-missing", "",
         role(of("", "pods/exec", "get")) + binding(), "create pods/exec"),
    Near("names-list", "rbac-resourcenames-misuse", "SAT511",
         role(of("", "pods", "get,list", "one")) + binding(), "list pods"),
    Near("names-create", "rbac-resourcenames-misuse", "SAT511",
         role(of("coordination.k8s.io", "leases", "create,get", "one")) + binding(),
         "create leases.coordination.k8s.io"),
    Near("names-other", "rbac-resourcenames-misuse", "SAT511",
         role(of("", "configmaps", "get", "one")) + binding(), "get configmaps two"),
    Near("cluster-scoped", "rbac-cluster-scoped-needs-crb", "SAT515",
         role(of("", "nodes", "list"), "ClusterRole", "NS-web") + binding(ref=WIDE),
         "list nodes"),
    Near("all-namespaces", "rbac-cluster-scoped-needs-crb", "SAT515",
         role(PODS, "ClusterRole", "NS-web") + binding(ref=WIDE), "list pods -A",
         "list pods -n NS-b"),
    Near("url-narrow", "rbac-nonresourceurls", "SAT513",
         role("[{nonResourceURLs: [/NS], verbs: [get]}]", "ClusterRole", "NS-web")
         + binding(ref=WIDE), "get /NS"),
    Near("url-slash", "rbac-nonresourceurls", "SAT513",
         role("[{nonResourceURLs: [NS], verbs: [get]}]", "ClusterRole", "NS-web")
         + binding(ref=WIDE, where="", name="NS-web"), "get /NS"),
    Near("url-below", "rbac-rule-missing", "",
         role("[{nonResourceURLs: [/NS], verbs: [get]}]", "ClusterRole", "NS-web")
         + binding(ref=WIDE, where="", name="NS-web"), "get /NS/below"),
    Near("aggregation-label", "rbac-aggregated-clusterrole", "SAT514",
         role("[]\naggregationRule: {clusterRoleSelectors: [{matchLabels: {NS: 'true'}}]}",
              "ClusterRole", "NS-web")
         + role(PODS, "ClusterRole", "NS-part", ", labels: {NS: 'True'}") + binding(ref=WIDE)),
    Near("aggregation-lost", "rbac-aggregated-clusterrole", "SAT514",
         role(PODS + "\naggregationRule: {clusterRoleSelectors: [{matchLabels: {NS: 'true'}}]}",
              "ClusterRole", "NS-web")
         + role(of("", "secrets", "get"), "ClusterRole", "NS-part", ", labels: {NS: 'true'}")
         + binding(ref=WIDE)),
    Near("aggregation-empty", "rbac-aggregated-clusterrole", "SAT514",
         role("[]\naggregationRule: {clusterRoleSelectors: [{matchLabels: {NS: 'true'}}]}",
              "ClusterRole", "NS-web") + binding(ref=WIDE)),
    Near("two-things", "rolebinding-wrong-namespace", "",
         role(of("", "pods", "get"), "ClusterRole", "NS-web") + binding(ref=WIDE, where="NS-b")),
    Near("no-binding", "rbac-no-binding", "SAT501", ""),
]  # fmt: skip


@pytest.fixture(params=NEAR, ids=[near.name for near in NEAR])
def near(request: pytest.FixtureRequest) -> Near:
    case: Near = request.param
    return case


@pytest.fixture
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("near"))
    stage.open()
    stage.kubectl("create", "namespace", f"{stage.namespace}-b")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=service_account())
    yield stage
    stage.forget_roles()
    stage.kubectl("delete", "namespace", f"{stage.namespace}-b", "--wait=false")
    stage.close()


def says(stage: Stage, question: str) -> bool:
    """The API server's own answer to a question of WIDER."""
    verb, what, *scope = question.replace("NS", stage.namespace).split()
    namespace = {"-A": "", "-n": scope[-1]}.get(scope[0]) if scope else stage.namespace
    if what.startswith("/"):
        asked = Attributes(verb, "", "", path=what)
    else:
        resource, _, subresource = what.partition("/")
        resource, _, group = resource.partition(".")
        asked = Attributes(verb, group, resource, subresource)
    api = administrator(stage.cluster.kubeconfig)
    answer = reviewed(api, stage.namespace, "web", Question(namespace or "", asked))
    return bool(answer["allowed"])


def can_i(stage: Stage, question: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    words = question.replace("NS", stage.namespace).split()
    return stage.satoken("can-i", "sa/web", *words, "-n", stage.namespace, *flags)


# What nobody was asked to grant: the verbs, namespaces, names and resources next to it.
WIDER = (
    "list secrets",
    "get secrets",
    "delete pods",
    "create pods",
    "get pods",
    "list pods -A",
    "list pods -n NS-b",
    "get pods/status",
    "update deployments.apps",
    "delete leases.coordination.k8s.io",
    "get /",
    "get configmaps",
)


def test_the_miss_is_found_and_its_fix_works(near: Near, stage: Stage) -> None:
    if near.manifest:
        stage.kubectl("apply", "-f", "-", stdin=near.manifest.replace("NS", stage.namespace))
    done = can_i(stage, near.question, "-o", "json")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, answer["allowed"]) == (1, False)
    first = answer["misses"][0]
    assert (first["name"], first["code"] or "") == (near.miss, near.code), answer["misses"]
    text = can_i(stage, near.question).stdout
    assert text.startswith("no: serviceaccount web may not ")
    assert all(len(line) <= 80 for line in text.splitlines() if "kubectl" not in line), text
    if "fix" not in first:
        assert near.miss == "rbac-no-binding"
        first["fix"] = {"commands": [grant_line(text)]}
    if first["name"].startswith("rbac-subject"):
        assert "which gets all that " in first["fix"]["summary"]
    before = {question: says(stage, question) for question in WIDER}
    for command in first["fix"]["commands"]:
        stage.shell(command)
    stage.until(answered(stage, near.question))
    time.sleep(0.3)  # what else came with it may take a moment longer
    after = {question: says(stage, question) for question in WIDER}
    given = {question for question in WIDER if after[question] and not before[question]}
    assert given <= {near.question, *near.grants.split(",")}


def test_a_role_that_is_missing_elsewhere_is_not_near(stage: Stage) -> None:
    """What it would have granted counts in another namespace, and may have been about anything."""
    elsewhere = binding(ref="Role, name: gone", where="NS-b")
    stage.kubectl("apply", "-f", "-", stdin=elsewhere.replace("NS", stage.namespace))
    assert json.loads(can_i(stage, "list pods", "-o", "json").stdout)["misses"] == []
    text = can_i(stage, "list pods").stdout
    assert "  why       nothing that it is bound to comes near that" in text
    web, there = f"sa/{stage.namespace}:web", f"{stage.namespace}-b"
    done = stage.satoken("can-i", web, "list", "pods", "-n", there, "-o", "json")
    assert [miss["code"] for miss in json.loads(done.stdout)["misses"]] == ["SAT502"]


def grant_line(text: str) -> str:
    """The command that is printed below an answer."""
    return text.partition("the least that grants it:\n")[2]


def answered(stage: Stage, question: str) -> str:
    """The shell line that succeeds when the plugin says yes."""
    words = question.replace("NS", stage.namespace)
    return f"kubectl satoken can-i sa/web {words} -n $NS -q"


def test_the_printed_grant_works_and_gives_nothing_else(near: Near, stage: Stage) -> None:
    if near.manifest:
        stage.kubectl("apply", "-f", "-", stdin=near.manifest.replace("NS", stage.namespace))
    text = can_i(stage, near.question).stdout
    before = {question: says(stage, question) for question in WIDER}
    stage.shell(grant_line(text))
    stage.until(answered(stage, near.question))
    time.sleep(0.3)  # what else came with it may take a moment longer
    after = {question: says(stage, question) for question in WIDER}
    given = {question for question in WIDER if after[question] and not before[question]}
    implied = near.grants.split(",") if "-A" in near.question else []
    assert given <= {near.question, *implied}
