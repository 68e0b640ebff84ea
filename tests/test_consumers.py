"""Who uses a Secret or runs as an account: every way, by whom it counts, and what is kept."""

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_satoken.consumers import (
    ENV,
    FINISHED,
    NAMED,
    SUSPENDED,
    VOLUME,
    VOLUME_SECRETS,
    ZERO,
    Consumer,
    Found,
    find,
    kinds_to_read,
    only_names,
    together,
    uses_of,
)
from kubectl_satoken.kinds import BUILT_IN, Type
from kubectl_satoken.manifests import parse
from kubectl_satoken.world import KINDS, Kind, Object, Ref, Unseen
from tests.checks.given import world

SECRET = Ref("Secret", "shop", "t")
ACCOUNT = Ref("ServiceAccount", "shop", "web")
INGRESS = Kind("Ingress", "networking.k8s.io/v1", "ingresses", True, ("ing",))
ROBOT = Kind("Robot", "example.org/v1", "robots", True)

PROMETHEUS = "spec.authorization.credentials"
APP = "{name: app, image: app}"
USES_IT = "{name: app, image: app, env: [{name: T, valueFrom: {secretKeyRef: {name: t}}}]}"


def pod(name: str = "p", container: str = USES_IT, **metadata: Any) -> Object:
    (item,) = parse(
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop}}, "
        f"spec: {{containers: [{container}]}}}}",
        "test",
    )
    return {**item, "metadata": {**item["metadata"], **metadata}}


def workload(
    kind: str, name: str, api_version: str = "apps/v1", template: str = USES_IT, **fields: Any
) -> Object:
    metadata = fields.pop("metadata", {})
    status = fields.pop("status", {})
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", **metadata},
        "spec": {"template": {"spec": pod(container=template)["spec"]}, **fields},
        "status": status,
    }


def owned_by(kind: str, name: str, api_version: str = "apps/v1") -> list[Object]:
    return [
        {
            "kind": kind,
            "name": name,
            "apiVersion": api_version,
            "uid": f"uid-{name}",
            "controller": True,
        }
    ]


def made_by(kind: str, name: str, api_version: str = "apps/v1") -> Object:
    return {"metadata": {"ownerReferences": owned_by(kind, name, api_version)}}


def search(
    *items: Object, wanted: tuple[Ref, ...] = (SECRET,), stored: str = "", unseen: Any = ()
) -> Found:
    """What is found among these objects, handed in by kind as a cluster does."""

    def read(kind: Kind) -> Iterator[Object]:
        if kind.kind in unseen:
            raise Unseen(kind.plural, "forbidden to you")
        yield from (one for one in items if one["kind"] == kind.kind)

    kinds = kinds_to_read([*BUILT_IN, Type(INGRESS, "ingress"), Type(ROBOT, "robot")])
    return find(wanted, kinds, read, world(stored))


def only(found: Found, ref: Ref = SECRET) -> Consumer:
    (one,) = found.consumers[ref]
    return one


# --- how ------------------------------------------------------------------------------------------

REFERENCES = [
    ("spec: {containers: [], imagePullSecrets: [{name: t}]}", "spec.imagePullSecrets[0].name"),
    (
        "spec: {containers: [{name: a, envFrom: [{secretRef: {name: t}}]}]}",
        "spec.containers[0].envFrom[0].secretRef.name",
    ),
    (
        "spec: {initContainers: [{name: a, env: [{name: A}, {name: B, valueFrom: "
        "{secretKeyRef: {name: t, key: k}}}]}], containers: []}",
        "spec.initContainers[0].env[1].valueFrom.secretKeyRef.name",
    ),
    (
        "spec: {ephemeralContainers: [{name: a, envFrom: [{secretRef: {name: t}}]}]}",
        "spec.ephemeralContainers[0].envFrom[0].secretRef.name",
    ),
    (
        "spec: {volumes: [{name: v, projected: {sources: [{secret: {name: t}}]}}]}",
        "spec.volumes[0].projected.sources[0].secret.name",
    ),
    *(
        (
            f"spec: {{volumes: [{{name: v, {kind}: {{{field}: "
            f"{'t' if field == 'secretName' else '{name: t}'}}}}}]}}",
            f"spec.volumes[0].{kind}.{field}" + ("" if field == "secretName" else ".name"),
        )
        for kind, field in VOLUME_SECRETS
    ),
]


@pytest.mark.parametrize(("spec", "path"), REFERENCES, ids=[path for _, path in REFERENCES])
def test_every_way_to_use_a_secret(spec: str, path: str) -> None:
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: shop}}\n{spec}\n"
    import yaml

    uses = [use for use in uses_of(yaml.safe_load(text)) if use.kind == "Secret"]
    assert [(use.name, use.path) for use in uses] == [("t", path)]


@pytest.mark.parametrize(
    ("kind", "api_version"),
    [
        ("Deployment", "apps/v1"),
        ("StatefulSet", "apps/v1"),
        ("DaemonSet", "apps/v1"),
        ("ReplicaSet", "apps/v1"),
        ("Job", "batch/v1"),
        ("ReplicationController", "v1"),
        ("Robot", "example.org/v1"),
    ],
)
def test_every_kind_with_a_template(kind: str, api_version: str) -> None:
    one = only(search(workload(kind, "w", api_version)))
    assert (one.kind, one.name, one.api_version) == (kind, "w", api_version)
    assert [(use.how, use.path) for use in one.uses] == [
        (ENV, "spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name")
    ]
    assert not one.over


def test_a_cron_job_between_two_runs() -> None:
    inner = workload("Job", "x")["spec"]
    item = workload("CronJob", "c", "batch/v1", jobTemplate={"spec": inner}, suspend=True)
    del item["spec"]["template"]
    one = only(search(item))
    assert one.uses[0].path.startswith("spec.jobTemplate.spec.template.spec.containers[0]")
    assert (one.state, one.over) == (SUSPENDED, False)


def test_templates_anywhere_in_a_custom_resource() -> None:
    spec = pod()["spec"]
    item = {
        "apiVersion": "example.org/v1",
        "kind": "Robot",
        "metadata": {"name": "r", "namespace": "shop"},
        "spec": {"replicaSpecs": {"worker": {"template": {"spec": spec}}, "arms": [{"pod": spec}]}},
        "status": {"last": {"template": {"spec": spec}}},
    }
    paths = sorted(use.path.partition(".containers")[0] for use in only(search(item)).uses)
    assert paths == ["spec.replicaSpecs.arms[0].pod", "spec.replicaSpecs.worker.template.spec"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"tokenSecretRef": {"name": "t"}}, "spec.tokenSecretRef"),
        ({"auth": {"secretName": "t"}}, "spec.auth.secretName"),
        ({"secrets": ["s", "t"]}, "spec.secrets"),
        ({"imagePullSecrets": [{"name": "t"}]}, "spec.imagePullSecrets"),
        # a PodMonitor, and a Gateway
        ({"authorization": {"credentials": {"name": "t", "key": "token"}}}, PROMETHEUS),
        ({"certificateRefs": [{"kind": "Secret", "name": "t"}]}, "spec.certificateRefs[0]"),
        ({"from": {"kind": "Secret", "name": "t", "namespace": "shop"}}, "spec.from"),
        ({"secretRef": {"kind": "Secret", "name": "t", "key": "token"}}, "spec.secretRef"),
    ],
    ids=str,
)
def test_a_custom_resource_that_names_it(spec: Object, path: str) -> None:
    item = {
        "apiVersion": "example.org/v1",
        "kind": "Robot",
        "metadata": {"name": "r", "namespace": "shop"},
        "spec": spec,
    }
    assert [(use.how, use.path) for use in only(search(item)).uses] == [(NAMED, path)]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"spec": {"tls": [{"hosts": ["x"], "secretName": "t"}]}}, "spec.tls[0].secretName"),
        ({"annotations": {"nginx/auth-secret": "t"}}, "metadata.annotations[nginx/auth-secret]"),
        ({"annotations": {"nginx/auth-secret": "shop/t"}}, "metadata.annotations[nginx/auth-secre"),
        ({"annotations": {"nginx/auth-secret": "other/t"}}, ""),
        ({"annotations": {"nginx/backend": "t"}}, ""),
    ],
)
def test_an_ingress_that_names_it(more: Object, path: str) -> None:
    item = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "front",
            "namespace": "shop",
            "annotations": more.get("annotations", {}),
        },
        "spec": more.get("spec", {}),
    }
    found = search(item).consumers[SECRET]
    uses = [use for consumer in found for use in consumer.uses]
    assert [use.how for use in uses] == ([NAMED] if path else [])
    assert all(use.path.startswith(path) for use in uses)


WEBHOOKS = (
    ("MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1"),
    ("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1"),
    ("CustomResourceDefinition", "apiextensions.k8s.io/v1"),
    ("APIService", "apiregistration.k8s.io/v1"),
)
INJECT = "cert-manager.io/inject-ca-from-secret"


@pytest.mark.parametrize(("kind", "api_version"), WEBHOOKS)
@pytest.mark.parametrize(
    ("annotations", "found"),
    [({INJECT: "shop/t"}, True), ({INJECT: "pay/t"}, False), ({"note": "shop/t"}, False)],
    ids=str,
)
def test_a_webhook_names_it_by_an_annotation(
    annotations: Object, found: bool, kind: str, api_version: str
) -> None:
    metadata = {"name": "hook", "annotations": annotations}
    uses = [*uses_of({"apiVersion": api_version, "kind": kind, "metadata": metadata})]
    where = Kind(kind, api_version, "hooks", False)

    def read(one: Kind) -> Iterator[Object]:
        if one == where:
            yield {"apiVersion": api_version, "kind": kind, "metadata": metadata}

    consumers = find([SECRET], [where], read, world("")).consumers[SECRET]
    assert [one.name for one in consumers] == ["hook"] * found
    assert all(use.how == NAMED and use.path == f"metadata.annotations[{INJECT}]" for use in uses)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ({"name": "t"}, True),
        ({"name": "t", "namespace": "shop"}, True),
        ({"name": "t", "namespace": "pay"}, False),
        ({"name": "u"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("field", ["secretRef", "bearerToken"])
def test_a_custom_resource_that_is_in_no_namespace(
    field: str, reference: Object, found: bool
) -> None:
    """It may say only the name, and means the namespace of its controller."""
    issuer = Kind("ClusterIssuer", "cert-manager.io/v1", "clusterissuers", False)
    item = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "ClusterIssuer",
        "metadata": {"name": "vault"},
        "spec": {"vault": {"auth": {field: {**reference, "key": "token"}}}},
    }
    consumers = find([SECRET], [issuer], lambda _: iter([item]), world("")).consumers[SECRET]
    assert [(one.namespace, one.name) for one in consumers] == [("", "vault")] * found


def test_a_custom_resource_that_names_one_of_another_namespace() -> None:
    item = {
        "apiVersion": "example.org/v1",
        "kind": "Robot",
        "metadata": {"name": "r", "namespace": "other"},
        "spec": {"secretRef": {"name": "t", "namespace": "shop"}},
    }
    assert only(search(item)).namespace == "other"


def test_what_may_not_be_looked_at_in_no_namespace_is_put_together() -> None:
    forbidden = [Unseen(f"type{n}", "forbidden to you: needs list x") for n in range(9)]
    broken = Unseen("hooks", "out of order")
    assert [str(one) for one in together([*forbidden, broken])] == [
        "hooks: out of order",
        "type0, type1, type2, type3, type4, type5 and 3 more types: forbidden to you: needs list "
        "of them; they could name it",
    ]
    assert together([]) == []


def test_what_merely_has_the_same_name_does_not_count() -> None:
    other = pod("o", APP)
    elsewhere = {**pod(), "metadata": {"name": "p", "namespace": "pay"}}
    robot = {
        "apiVersion": "example.org/v1",
        "kind": "Robot",
        "metadata": {"name": "t", "namespace": "shop"},
        "spec": {"configMap": "t", "name": "t", "ref": {"name": "t", "key": "color"}},
    }
    metrics = {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"name": "t", "namespace": "shop"},
        "containers": [{"name": "app"}],
    }
    assert search(other, elsewhere, robot, metrics).consumers == {SECRET: []}
    assert not [*uses_of(metrics)]


KEYS = (
    *("spec", "template", "containers", "initContainers", "volumes", "env", "envFrom", "secret"),
    *("secretRef", "secretKeyRef", "valueFrom", "name", "imagePullSecrets", "projected", "sources"),
    *("csi", "nodePublishSecretRef", "serviceAccountName", "tokenSecretRef", "replicas", "suspend"),
    *("status", "conditions", "jobTemplate", "kind", "key", "namespace"),
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "t", "web", "Secret", "token"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(["spec", "status", "template"]), ANYTHING))
def test_a_custom_resource_may_be_anything(fields: Object) -> None:
    item = {
        "apiVersion": "example.org/v1",
        "kind": "Robot",
        "metadata": {"name": "r", "namespace": "shop"},
        **fields,
    }
    assert all(use.name for use in uses_of(item) if use.kind == "Secret")
    search(item)


# --- under whom it counts -------------------------------------------------------------------------


def test_pods_count_under_what_makes_them() -> None:
    deploy = workload("Deployment", "web", replicas=2)
    replicas = workload("ReplicaSet", "web-1", **made_by("Deployment", "web"))
    pods = [pod(f"web-1-{n}", ownerReferences=owned_by("ReplicaSet", "web-1")) for n in range(2)]
    one = only(search(deploy, replicas, *pods))
    assert (one.resource, one.pods, one.revisions) == ("deployment/web", 2, 1)


def test_an_older_revision_is_told_apart() -> None:
    deploy = workload("Deployment", "web", template=APP)
    old = workload("ReplicaSet", "web-1", replicas=0, **made_by("Deployment", "web"))
    one = only(search(deploy, old))
    assert (one.resource, one.uses, one.revisions, one.over) == ("deployment/web", (), 1, False)


def test_pods_that_got_it_from_their_account_count_under_the_workload() -> None:
    """imagePullSecrets of an account stand in the pods, and in no template."""
    stored = """
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-1
  namespace: shop
  uid: uid-web-1
  ownerReferences:
  - {apiVersion: apps/v1, kind: Deployment, name: web, uid: uid-web, controller: true}
spec: {template: {spec: {containers: [{name: app, image: app}]}}}
"""
    deploy = workload("Deployment", "web", template=APP)
    replicas = workload("ReplicaSet", "web-1", template=APP)
    one_pod = pod("web-1-0", ownerReferences=owned_by("ReplicaSet", "web-1"))
    one = only(search(deploy, replicas, one_pod, stored=stored))
    assert (one.resource, one.pods, one.uses) == ("deployment/web", 1, ())
    # what cannot be looked at is named as far as it is known
    one = only(search(one_pod))
    assert one.resource == "replicaset/web-1"


def test_what_has_ended_is_over() -> None:
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    job = workload("Job", "once", "batch/v1", status=done)
    ended = {**pod("once-0", ownerReferences=owned_by("Job", "once", "batch/v1")),
             "status": {"phase": "Succeeded"}}  # fmt: skip
    one = only(search(job, ended))
    assert (one.state, one.pods, one.ended, one.over) == (FINISHED, 0, 1, True)
    alone = {**pod("alone"), "status": {"phase": "Failed"}}
    assert only(search(alone)).over
    assert not only(search(pod("alone"))).over
    # the finished runs of a CronJob say nothing of its next
    inner = workload("Job", "x", template=APP)["spec"]
    cron = workload("CronJob", "c", "batch/v1", jobTemplate={"spec": inner})
    run = workload("Job", "c-1", "batch/v1", status=done, **made_by("CronJob", "c", "batch/v1"))
    assert only(search(cron, run)).over


def test_scaled_to_zero_and_whose_it_is() -> None:
    item = workload("StatefulSet", "db", replicas=0, **made_by("Robot", "r2", "example.org/v1"))
    one = only(search(item))
    assert (one.state, one.controller, one.over) == (ZERO, "robot/r2", False)


def test_accounts_that_list_it() -> None:
    (item,) = parse(
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: shop}, "
        "secrets: [{name: x}, {name: t}], imagePullSecrets: [{name: t}]}",
        "test",
    )
    one = only(search(item))
    assert [use.path for use in one.uses] == ["secrets[1].name", "imagePullSecrets[0].name"]


def test_what_runs_as_an_account() -> None:
    named = workload("Deployment", "web")
    named["spec"]["template"]["spec"]["serviceAccountName"] = "web"
    other = workload("Deployment", "other")
    default = Ref("ServiceAccount", "shop", "default")
    found = search(named, other, wanted=(ACCOUNT, default))
    assert [one.name for one in found.consumers[ACCOUNT]] == ["web"]
    assert [one.name for one in found.consumers[default]] == ["other"]


# --- what could not be looked at, and how much is kept --------------------------------------------


def test_one_kind_that_is_forbidden_does_not_hide_the_others() -> None:
    found = search(workload("Deployment", "web"), pod(), unseen=("Pod", "Robot"))
    assert only(found).name == "web"
    assert [one.what for one in found.unseen] == ["robots", "pods"]


def test_the_kinds_that_are_read() -> None:
    types = [
        *BUILT_IN,
        Type(ROBOT, "robot", ("list", "get")),
        Type(Kind("Token", "example.org/v1", "tokens", True), "token", ("create",)),
        Type(Kind("World", "example.org/v1", "worlds", False), "world", ("list",)),
        Type(Kind("APIService", "apiregistration.k8s.io/v1", "apiservices", False), "apiservice"),
        Type(Kind("PodMetrics", "metrics.k8s.io/v1beta1", "pods", True), "", ("list",)),
        Type(Kind("Job", "batch.volcano.sh/v1alpha1", "jobs", True), "job", ("list",)),
    ]
    kinds = kinds_to_read(types)
    assert kinds[-1] == KINDS["Pod"], "who made them is known by then"
    found = {(kind.group, kind.plural) for kind in kinds}
    assert {("example.org", "robots"), ("batch.volcano.sh", "jobs"), ("batch", "jobs")} <= found
    whole = {("example.org", "worlds"), ("apiregistration.k8s.io", "apiservices")}
    assert whole < found, "which may name what is in a namespace"
    assert [kind.plural for kind in kinds if only_names(kind)] == [
        "apiservices",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    ]
    assert not {"secrets", "configmaps", "tokens", "events", "nodes", "clusterroles"} & {
        plural for _, plural in found
    }
    assert ("metrics.k8s.io", "pods") not in found


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_cluster() -> None:
    """Twenty times as many pods and Secrets, of which as many as before are used."""
    user, other = pod(), pod(container=APP)  # what reads them from text has memory of its own

    def sweep(pods: int) -> Found:
        def read(kind: Kind) -> Iterator[Object]:
            if kind.kind == "Pod":
                for number in range(pods):
                    one = user if number < 50 else other
                    yield {**one, "metadata": {**one["metadata"], "name": f"p{number}"}}

        wanted = [Ref("Secret", "shop", "t"), Ref("ServiceAccount", "shop", "nobody")]
        found = find(wanted, kinds_to_read(BUILT_IN), read, world(""))
        assert len(found.consumers[SECRET]) == 50
        return found

    sweep(60)
    assert peak(lambda: sweep(2000)) < peak(lambda: sweep(100)) + 100_000


def test_how_a_consumer_is_called() -> None:
    assert Consumer("Deployment", "apps/v1", "shop", "web").resource == "deployment/web"
    assert Consumer("Robot", "example.org/v1", "shop", "r").resource == "robot.example.org/r"
    assert Consumer("Job", "batch.volcano.sh/v1", "s", "j").resource == "job.batch.volcano.sh/j"
    assert Consumer("Service", "serving.knative.dev/v1", "s", "k").resource == (
        "service.serving.knative.dev/k"
    )
    assert VOLUME == "volume"
