"""The API server does not take the token, or the container does not have it."""

from typing import Any

from kubectl_satoken.checks import Finding, examine
from kubectl_satoken.times import seconds
from kubectl_satoken.verify import token_object
from kubectl_satoken.world import Object

from .given import NOON, commands, first, the, world

NOW = int(seconds(NOON))

POD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop, uid: sa-web, creationTimestamp: "2026-11-01T00:00:00Z"}
---
apiVersion: v1
kind: Pod
metadata: {name: x, namespace: shop, uid: pod-x, creationTimestamp: "2026-11-22T11:00:00Z"}
spec:
  serviceAccountName: web
  containers: [{name: app, image: app}]
"""

PAYLOAD = {
    "iss": "https://issuer.example",
    "aud": ["https://issuer.example"],
    "sub": "system:serviceaccount:shop:web",
    "iat": NOW - 60,
    "nbf": NOW - 60,
    "exp": NOW + 3547,
    "kubernetes.io": {
        "namespace": "shop",
        "serviceaccount": {"name": "web", "uid": "sa-web"},
        "pod": {"name": "x", "uid": "pod-x"},
    },
}
ASKED = {"audience": "", "lifetime": 3607, "path": "/t/token", "container": "app"}
TAKEN = {"by": "TokenReview", "authenticated": True, "audiences": [], "error": ""}
THERE = {
    "path": "/t/token",
    "state": "there",
    "listing": "-rw-r--r-- 1 0 0 900",
    "user": "0",
    "groups": "0",
    "ca": True,
}
SERVER = {"host": "10.96.0.1", "port": "443"}


def refused(error: str = "", by: str = "TokenReview") -> Object:
    return {"by": by, "authenticated": False, "audiences": [], "error": error}


def found(changes: Object | None = None, about: str = POD, **facts: Any) -> list[Finding]:
    """The findings on the token of pod x with changed claims and these facts."""
    cluster = world(about)
    own: Object = {
        "asked": ASKED,
        "payload": {**PAYLOAD, **(changes or {})},
        "header": {"alg": "RS256", "kid": "k1"},
        "reviews": [TAKEN],
        **facts,
    }
    item = token_object(first(cluster, "Pod"), "a test", **own)
    findings, _, ran = examine(item, cluster)
    assert ran > 10
    return findings


def codes(changes: Object | None = None, **facts: Any) -> list[str]:
    return [finding.code for finding in found(changes, **facts)]


def said(error: str) -> list[str]:
    """The codes for a token that the API server refuses with these words."""
    return codes(reviews=[refused(f"[invalid bearer token, {error}]")])


def test_a_good_token_has_no_finding() -> None:
    assert codes() == []
    assert codes(file=THERE, server=SERVER) == []


def test_token_expired_fires_by_the_clock_and_by_the_word() -> None:
    late = {"exp": NOW - 120, "iat": NOW - 3727, "nbf": NOW - 3727}
    assert codes(late, reviews=[]) == ["SAT801"]
    finding = the(found(late, reviews=[refused("service account token has expired")]), "SAT801")
    assert finding.message == "the token has expired 2m ago"
    assert "replace --force" in commands(finding)[0]
    assert said("service account token has expired") == ["SAT801"]


def test_token_expired_quiet_within_the_leeway_of_a_minute() -> None:
    assert codes({"exp": NOW - 30}) == []


def test_token_clock_skew_fires() -> None:
    assert said("service account token is not valid yet") == ["SAT802"]
    silent = [refused(by="a request from the pod (curl)")]
    assert codes({"iat": NOW + 500, "nbf": NOW + 500}, reviews=silent) == ["SAT802"]
    ahead = {"iat": NOW + 500, "nbf": NOW + 500}
    assert codes(ahead, reviews=[refused("service account token is not valid yet")]) == ["SAT802"]


def test_token_clock_skew_quiet_when_the_token_is_taken() -> None:
    # it is our own clock, then
    assert codes({"iat": NOW + 500, "nbf": NOW + 500}) == []


def test_token_sa_deleted_fires() -> None:
    for text in (
        'serviceaccounts "web" not found',
        "service account shop/web has been deleted",
        "ServiceAccount shop/web has been deleted",
    ):
        assert said(text) == ["SAT803"]


def test_token_sa_deleted_fires_and_frees_an_account_that_is_held() -> None:
    (going,) = found(reviews=[refused("service account shop/web has been deleted")])
    release, create, _ = commands(going)
    assert release.endswith("""patch serviceaccount web -p '{"metadata":{"finalizers":null}}'""")
    assert create.endswith("create serviceaccount web")
    (gone,) = found(reviews=[refused('serviceaccounts "web" not found')])
    assert commands(gone)[0] == create


def test_token_sa_deleted_quiet_about_another_reason() -> None:
    assert "SAT803" not in said("service account token has expired")


def test_token_sa_deleted_quiet_where_the_account_is_seen_to_be_gone() -> None:
    # SAT105 tells it of the pod, and mends it in the same way
    without = POD.replace("name: web, namespace", "name: other, namespace")
    assert codes(about=without, reviews=[refused('serviceaccounts "web" not found')]) == []
    assert codes(about=without, reviews=[refused(by="SelfSubjectReview")]) == []


def test_token_sa_recreated_fires_by_uid_and_by_word() -> None:
    old = {
        "kubernetes.io": {
            **PAYLOAD["kubernetes.io"],  # type: ignore[dict-item]
            "serviceaccount": {"name": "web", "uid": "old"},
        }
    }
    assert codes(old, reviews=[]) == ["SAT804"]
    assert said("service account UID (sa-web) does not match claim (old)") == ["SAT804"]
    assert said("ServiceAccount UID (sa-web) does not match claim (old)") == ["SAT804"]


def test_token_sa_recreated_quiet_about_a_token_of_another_account() -> None:
    other = {"kubernetes.io": {"serviceaccount": {"name": "other", "uid": "other"}}}
    assert codes(other) == []


def test_token_bound_object_gone_fires() -> None:
    assert said("service account token has been invalidated") == ["SAT805"]
    assert said("secret UID (a) does not match service account secret ref claim (b)") == ["SAT805"]


def test_token_bound_object_gone_fires_without_a_reason_when_it_is_not_there() -> None:
    silent = [refused(by="a request from the pod (curl)")]
    for tie in ({"pod": {"name": "y", "uid": "pod-y"}}, {"secret": {"name": "s", "uid": "s"}}):
        (finding,) = found({"kubernetes.io": tie}, reviews=silent)
        assert (finding.code, finding.object.value) == ("SAT805", "not found")
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop, uid: new}\n"
    own = {"secret": {"name": "s", "uid": "old"}}
    (finding,) = found({"kubernetes.io": own}, POD + secret, reviews=silent)
    assert (finding.code, finding.object.value) == ("SAT805", "new")


def test_token_bound_object_gone_quiet_about_what_is_there() -> None:
    assert codes(reviews=[refused(by="a request from the pod (curl)")]) == ["SAT814"]


def test_token_bound_object_gone_quiet_about_a_legacy_token() -> None:
    # a capital T says that it is one from a Secret
    assert "SAT805" not in said("Token has been invalidated")


def test_token_bound_pod_recreated_fires() -> None:
    old = {
        "kubernetes.io": {
            **PAYLOAD["kubernetes.io"],  # type: ignore[dict-item]
            "pod": {"name": "x", "uid": "old"},
        }
    }
    assert codes(old, reviews=[]) == ["SAT806"]
    assert said("pod UID (a) does not match service account pod ref claim (b)") == ["SAT806"]


def test_token_bound_pod_recreated_quiet_about_a_copy_of_another_pods() -> None:
    assert codes({"kubernetes.io": {"pod": {"name": "y", "uid": "pod-y"}}}) == []


def test_token_node_binding_disabled_fires() -> None:
    assert said(
        "token is bound to a Node object but the ServiceAccountTokenNodeBindingValidation "
        "feature gate is disabled"
    ) == ["SAT807"]


def test_token_node_binding_disabled_quiet_about_another_reason() -> None:
    assert "SAT807" not in said("service account token has expired")


def test_token_wrong_audience_fires() -> None:
    text = 'token audiences ["vault"] is invalid for the target audiences ["https://x"]'
    (finding,) = found({"aud": "vault"}, reviews=[refused(text)])
    assert (finding.code, finding.object.value) == ("SAT808", ["vault"])


def test_token_wrong_audience_fires_without_a_reason_when_the_servers_own_is_known() -> None:
    (finding,) = found({"aud": "vault"}, reviews=[refused(by="a request from the pod (curl)")])
    assert (finding.code, finding.certainty) == ("SAT808", "likely")


def test_token_wrong_audience_quiet_while_nobody_refuses_it() -> None:
    assert codes({"aud": ["vault"]}, reviews=[]) == []


def test_token_unknown_issuer_fires() -> None:
    bare = [refused("invalid bearer token")]
    (finding,) = found({"iss": "https://old.example"}, reviews=bare)
    assert (finding.code, finding.certainty) == ("SAT809", "likely")
    told = [refused('[invalid bearer token, token issuer "https://old.example" is invalid]')]
    (finding,) = found({"iss": "https://old.example"}, reviews=told)
    assert (finding.code, finding.certainty) == ("SAT809", "certain")


def test_token_unknown_issuer_quiet_when_it_is_the_servers_own() -> None:
    assert codes(reviews=[refused("invalid bearer token")]) == ["SAT814"]


def test_token_unknown_signing_key_fires() -> None:
    assert said("invalid signature, no keys found") == ["SAT810"]
    assert said("go-jose/go-jose: error in cryptographic primitive") == ["SAT810"]


def test_token_unknown_signing_key_fires_without_a_reason_when_it_is_not_published() -> None:
    header = {"alg": "RS256", "kid": "k2"}
    (finding,) = found(header=header, reviews=[refused(by="SelfSubjectReview")])
    assert (finding.code, finding.certainty) == ("SAT810", "likely")
    assert finding.evidence[-1].value == ["k1"]


def test_token_unknown_signing_key_quiet_about_the_key_of_another_issuer() -> None:
    elsewhere = {"iss": "https://old.example"}
    header = {"alg": "RS256", "kid": "k2"}
    assert codes(elsewhere, header=header, reviews=[refused()]) == ["SAT809"]
    assert codes(header=header) == []


def test_token_unknown_signing_key_quiet_about_another_reason() -> None:
    assert "SAT810" not in said("service account token has expired")


def test_ha_key_mismatch_fires_when_verdicts_differ() -> None:
    for words in ("[invalid signature, no keys found]", "service account token has expired", ""):
        assert codes(reviews=[TAKEN, refused(words), TAKEN]) == ["SAT811"]


def test_ha_key_mismatch_quiet_when_all_agree() -> None:
    assert codes(reviews=[TAKEN, TAKEN, TAKEN]) == []
    assert "SAT811" not in codes(reviews=[refused("x"), refused("x")])


def test_expiration_capped_fires() -> None:
    (finding,) = found(granted={"lifetime": 3600}, asked={**ASKED, "lifetime": 86400})
    assert (finding.code, finding.severity) == ("SAT812", "hint")


def test_expiration_capped_quiet_when_all_was_granted() -> None:
    assert codes(granted={"lifetime": 3607}) == []
    assert codes(granted={"lifetime": None}) == []


def test_tokenrequest_rejected_fires() -> None:
    (finding,) = found({}, refused="no tokens today", reviews=[])
    assert finding.code == "SAT813"
    assert commands(finding) == (
        "kubectl -n shop create token web --bound-object-kind=Pod --bound-object-name=x >/dev/null",
    )


GUARD = """
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: guard}
webhooks:
- name: no.example.com
  rules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*/*']}]
"""


def test_tokenrequest_rejected_fires_and_exempts_who_denies_it() -> None:
    for words in (
        'admission webhook "no.example.com" denied the request: no',
        'Internal error occurred: failed calling webhook "no.example.com": no endpoints available',
    ):
        (finding,) = found({}, POD + GUARD, refused=words, reviews=[])
        (command,) = commands(finding)
        assert "patch validatingwebhookconfiguration guard --type=json" in command


def test_tokenrequest_rejected_quiet_when_there_is_one() -> None:
    assert codes(refused="") == []


def test_tokenrequest_rejected_quiet_where_the_account_is_seen_to_be_gone() -> None:
    without = POD.replace("name: web, namespace", "name: other, namespace")
    words = 'serviceaccounts "web" not found'
    assert codes({}, about=without, refused=words, reviews=[]) == []
    # to who may not see accounts it is the API server that tells
    assert codes({}, refused=words, reviews=[]) == ["SAT813"]


def test_token_refused_fires_without_a_reason() -> None:
    assert codes(reviews=[refused(by="SelfSubjectReview")]) == ["SAT814"]


def test_token_refused_fires_for_a_reason_that_is_nobody_elses() -> None:
    # a legacy token whose Secret is gone
    legacy = {"iss": "kubernetes/serviceaccount"}
    (finding,) = found(
        legacy, reviews=[refused("[invalid bearer token, Token has been invalidated]")]
    )
    assert (finding.code, finding.object.value) == (
        "SAT814",
        "[invalid bearer token, Token has been invalidated]",
    )


def test_ca_file_missing_fires() -> None:
    place = {**ASKED, "path": "/var/run/secrets/kubernetes.io/serviceaccount/token"}
    (finding,) = found(
        file={**THERE, "ca": False}, asked=place, unreached="curl: (77) error", reviews=[]
    )
    assert finding.code == "SAT821"


def test_ca_file_missing_quiet_at_another_place_or_with_it() -> None:
    assert codes(file={**THERE, "ca": False}) == []
    assert codes(file=THERE) == []


def test_token_refused_quiet_when_a_reason_is_known() -> None:
    assert said("service account token has expired") == ["SAT801"]
    assert codes({"exp": NOW - 120}, reviews=[refused()]) == ["SAT801"]


def test_token_malformed_fires() -> None:
    for state in ("malformed", "empty"):
        for reviews in ([], [refused(by="a request from the pod (curl)")]):
            facts = {"file": {**THERE, "state": state}, "payload": {}, "reviews": reviews}
            assert codes({}, **facts) == ["SAT815"]


def test_token_malformed_quiet_about_a_token() -> None:
    assert codes(file=THERE) == []


def test_rotation_stalled_fires() -> None:
    old = {"iat": NOW - 3400, "nbf": NOW - 3400, "exp": NOW + 100}
    assert codes(old, file=THERE) == ["SAT816"]


def test_rotation_stalled_quiet_within_its_time_and_without_a_file() -> None:
    assert codes({"iat": NOW - 3000}, file=THERE) == []
    assert codes({"iat": NOW - 3400}) == []
    # a token from a Secret is never renewed
    assert codes({"iat": NOW - 99999}, file=THERE, asked={**ASKED, "lifetime": None}) == []


def test_token_file_missing_fires() -> None:
    assert codes({}, file={**THERE, "state": "missing"}, payload={}, reviews=[]) == ["SAT817"]


def test_token_file_missing_quiet_when_it_is_there() -> None:
    assert codes(file=THERE) == []


def test_token_unreadable_fires_and_gives_it_to_the_users_group() -> None:
    facts = {**THERE, "state": "unreadable", "user": "1000", "groups": "1000"}
    (finding,) = found({}, file=facts, payload={}, reviews=[])
    assert finding.code == "SAT818"
    assert '"fsGroup":1000' in commands(finding)[0]


def test_token_unreadable_quiet_when_it_is_read() -> None:
    assert codes(file=THERE) == []


def test_apiserver_unreached_from_pod_fires() -> None:
    (finding,) = found(unreached="Connection timed out", server=SERVER, reviews=[])
    assert (finding.code, finding.certainty) == ("SAT819", "likely")


def in_env(text: str) -> str:
    """The pod with more in its container."""
    return POD.replace("image: app}", f"image: app, {text}}}")


def test_apiserver_unreached_from_pod_fires_and_takes_another_address_out() -> None:
    pod = in_env("env: [{name: KUBERNETES_SERVICE_HOST, value: 10.9.9.9}]")
    (finding,) = found({}, pod, unreached="Connection refused", server=SERVER, reviews=[])
    assert '"env":[{"name":"KUBERNETES_SERVICE_HOST","$patch":"delete"}]' in commands(finding)[0]


def test_apiserver_unreached_from_pod_fires_for_a_certificate_and_shows_it() -> None:
    why = "certificate verify failed: unable to get local issuer certificate"
    (finding,) = found(unreached=why, server=SERVER, reviews=[])
    show, anew = commands(finding)
    assert show == "kubectl -n shop get configmap kube-root-ca.crt -o yaml"
    assert "replace --force" in anew


def test_apiserver_unreached_from_pod_quiet_when_it_answers() -> None:
    assert codes(server=SERVER) == []


def test_environment_without_api_server_fires() -> None:
    (finding,) = found(server={"host": "", "port": "443"}, reviews=[])
    assert (finding.code, finding.message) == (
        "SAT820",
        "container app has no KUBERNETES_SERVICE_HOST",
    )


CONFIG_MAP = """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: shop}
data: {SERVICE_HOST: '', OTHER: a}
"""


def test_environment_without_api_server_fires_and_takes_it_out_of_the_config_map() -> None:
    pod = in_env("envFrom: [{prefix: KUBERNETES_, configMapRef: {name: c}}]") + CONFIG_MAP
    (finding,) = found({}, pod, server={"host": "", "port": "443"}, reviews=[])
    change, _ = commands(finding)
    assert change.endswith("""patch configmap c --type=merge -p '{"data":{"SERVICE_HOST":null}}'""")


def test_environment_without_api_server_fires_and_makes_anew_what_sets_none() -> None:
    pod = in_env("envFrom: [{secretRef: {name: s}}, {configMapRef: {name: c}}]") + CONFIG_MAP
    (finding,) = found({}, pod, server={"host": "", "port": "443"}, reviews=[])
    (command,) = commands(finding)
    assert "replace --force" in command


def test_environment_without_api_server_quiet_when_it_is_there() -> None:
    assert codes(server=SERVER) == []
