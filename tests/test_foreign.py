"""Tokens that are not for the API server are known by their audience, volume, path, environment."""

import json

import pytest

from kubectl_satoken import foreign
from kubectl_satoken.diagnosis import diagnose
from kubectl_satoken.env import Env
from kubectl_satoken.foreign import Foreign, foreign_tokens, system_of
from kubectl_satoken.mounts import token_files
from kubectl_satoken.output import report_object, write_report
from kubectl_satoken.targets import Target
from tests.checks.given import world
from tests.conftest import ROOT

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: shop, uid: p}}
spec:
  containers:
  - name: app
    image: app
    env: [{env}]
    volumeMounts: [{{name: {volume}, mountPath: {folder}}}, {{name: api, mountPath:
      /var/run/secrets/kubernetes.io/serviceaccount}}]
  volumes:
  - name: {volume}
    projected: {{sources: [{{serviceAccountToken: {{path: {path}, audience: "{audience}"}}}}]}}
  - name: api
    projected: {{sources: [{{serviceAccountToken: {{path: token}}}}]}}
"""


def pod(
    audience: str,
    volume: str = "v",
    folder: str = "/tokens",
    path: str = "token",
    env: str = "",
) -> str:
    return POD.format(audience=audience, volume=volume, folder=folder, path=path, env=env)


@pytest.mark.parametrize(
    ("audience", "system"),
    [
        ("sts.amazonaws.com", foreign.AWS_IRSA),
        ("pods.eks.amazonaws.com", foreign.AWS_POD_IDENTITY),
        ("api://AzureADTokenExchange", foreign.AZURE),
        ("api://AzureADTokenExchangeUSGov", foreign.AZURE),
        ("shop-prod.svc.id.goog", foreign.GCP),
        ("//iam.googleapis.com/projects/1/locations/global/x", foreign.GCP),
        ("https://iam.googleapis.com/projects/1/locations/global/x", foreign.GCP),
        ("vault", foreign.VAULT),
        ("vault://shop/issuer", foreign.VAULT),
        ("istio-ca", foreign.ISTIO),
        ("identity.l5d.io", foreign.LINKERD),
        ("spire-server", foreign.SPIRE),
        ("dapr.io/sentry", foreign.DAPR),
        ("spiffe://cluster.local/ns/dapr-system/dapr-sentry", foreign.DAPR),
        ("consul", foreign.CONSUL),
        ("px", foreign.PORTWORX),
        ("https://somebody.example", ""),
    ],
)
def test_the_audience_says_for_whom_a_token_is(audience, system):
    cluster = world(pod(audience))
    item = cluster.get("Pod", "shop", "web")
    assert foreign_tokens(item, cluster) == [Foreign("app", "/tokens/token", audience, system)]


@pytest.mark.parametrize(
    ("text", "system"),
    [
        (pod("own", "aws-iam-token"), foreign.AWS_IRSA),
        (pod("own", "azure-workload-identity-reserved-1a2b3c"), foreign.AZURE),
        (pod("own", "istio-token"), foreign.ISTIO),
        (pod("own", "linkerd-identity-token"), foreign.LINKERD),
        (pod("own", "spire-token"), foreign.SPIRE),
        (pod("own", "dapr-identity-token"), foreign.DAPR),
        (pod("own", folder="/var/run/secrets/azure/tokens"), foreign.AZURE),
        (pod("own", folder="/var/run/secrets/dapr.io/sentrytoken"), foreign.DAPR),
        (
            pod("own", env="{name: AWS_WEB_IDENTITY_TOKEN_FILE, value: /tokens/token}"),
            foreign.AWS_IRSA,
        ),
        (pod("own", env="{name: AWS_WEB_IDENTITY_TOKEN_FILE, value: /other}"), ""),
        (pod("own", "my-istio-token-2"), ""),
        # the audience knows better
        (pod("vault", "aws-iam-token"), foreign.VAULT),
    ],
)
def test_else_volume_path_and_environment_do(text, system):
    item = world(text).get("Pod", "shop", "web")
    (file,) = [file for file in token_files(item) if file.audience]
    assert system_of(file, item) == system


def test_the_api_servers_own_audience_is_not_foreign():
    cluster = world(pod("https://issuer.example"))
    assert foreign_tokens(cluster.get("Pod", "shop", "web"), cluster) == []


def test_where_the_api_servers_audiences_are_not_known_only_known_systems_are_told():
    for audience, number in (("https://somebody.example", 0), ("sts.amazonaws.com", 1)):
        cluster = world(pod(audience), issuer=False)
        assert len(foreign_tokens(cluster.get("Pod", "shop", "web"), cluster)) == number


def test_doctor_names_them(tmp_path):
    cluster = world(pod("sts.amazonaws.com", "aws-iam-token"))
    report = diagnose([Target("Pod", "web")], "shop", cluster)
    assert "SAT304" not in [cause.finding.code for cause in report.causes]
    found = report_object(report)
    assert found["foreign"] == [
        {
            "target": {"kind": "Pod", "namespace": "shop", "name": "web"},
            "pod": "web",
            "container": "app",
            "path": "/tokens/token",
            "audience": "sts.amazonaws.com",
            "system": "AWS STS (EKS IRSA)",
        }
    ]
    with open(tmp_path / "out", "w+") as out:
        # whatever else is found on this pod is not the question
        write_report(report._replace(causes=[]), Env(stdout=out), colour=False, wide=False)
        out.seek(0)
        assert "  also      token for AWS STS (EKS IRSA) at /tokens/token in app\n" in out.read()


def test_the_schema_has_them():
    schema = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    cluster = world(pod("vault"))
    (token,) = report_object(diagnose([Target("Pod", "web")], "shop", cluster))["foreign"]
    assert set(token) == set(schema["$defs"]["foreign"]["required"])
