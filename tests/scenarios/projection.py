"""The projected volume asks for its token in a way that gives none, or another than was meant."""

from tests.scenarios import AT_PLACE, FULL, Scenario, mounted, template

REFUSED = "! kubectl -n $NS apply -f $WORK/manifest.yaml"
TWICE = FULL.replace(
    "{serviceAccountToken: {path: token}}",
    "{serviceAccountToken: {path: token}}, {serviceAccountToken: {path: token, audience: vault}}",
)
ENDED = (
    '{"status": {"containerStatuses": [{"name": "app", "ready": false, "restartCount": 1, '
    '"image": "busybox:1", "imageID": "", "lastState": {"terminated": {"exitCode": 1, '
    '"startedAt": "2026-11-22T10:00:00Z", "finishedAt": "2026-11-22T11:01:30Z"}}}]}}'
)
# Asks for what the pod's volume asks for, and sees how long the token will be taken.
A_YEAR = """
asked=$(kubectl -n $NS get pod web \\
  -o jsonpath='{.spec.volumes[?(@.name=="t")].projected.sources[0].*.expirationSeconds}')
claims=$(kubectl -n $NS create token default --bound-object-kind=Pod --bound-object-name=web \\
  --duration=${asked}s | cut -d. -f2 | tr '_-' '/+' | base64 -d 2>/dev/null)
exp=$(echo "$claims" | grep -oE '"exp":[0-9]+' | cut -d: -f2)
iat=$(echo "$claims" | grep -oE '"iat":[0-9]+' | cut -d: -f2)
test $((exp - iat)) -gt 30000000
"""

SCENARIOS = [
    Scenario(
        "projection-expiration-out-of-range",
        "SAT401",
        "deploy/web",
        template(
            mounted(AT_PLACE, FULL.replace("path: token", "path: token, expirationSeconds: 60"))
        ),
        events=(REFUSED,),
        where=("live",),
        file=True,
    ),
    Scenario(
        "projection-bad-path",
        "SAT402",
        "deploy/web",
        template(mounted(AT_PLACE, FULL.replace("path: token", "path: /tokens/token"))),
        events=(REFUSED,),
        where=("live",),
        file=True,
    ),
    Scenario(
        "projection-duplicate-path",
        "SAT403",
        "pod",
        template(mounted(AT_PLACE, TWICE)),
        wait="kubectl -n $NS get pod -l app=web -o name | grep -q pod/",
        where=("node",),
    ),
    Scenario(
        "projection-unknown-field-audiences",
        "SAT404",
        "deploy/web",
        template(
            mounted(
                "{name: t, mountPath: /tokens}",
                "{name: t, projected: {sources: [{serviceAccountToken: {path: token, "
                "audiences: [vault]}}]}}",
            )
        ),
        events=(REFUSED,),
        # by what it stores, the API server has understood for whom the token is
        proof='kubectl -n $NS get pod -l app=web -o json | grep \'"audience": "vault"\'',
        where=("live",),
        file=True,
    ),
    Scenario(
        "extension-not-active",
        "SAT405",
        "pod/web",
        template(mounted(AT_PLACE, FULL), kind="Pod"),
        events=(f"kubectl -n $NS patch pod web --subresource=status -p '{ENDED}'",),
        certainty="possible",
        proof=A_YEAR,
        where=("live",),
    ),
]
