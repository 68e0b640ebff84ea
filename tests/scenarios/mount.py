"""The token is not where the container looks."""

from tests.scenarios import (
    AT_PLACE,
    FULL,
    PLACE,
    PLAIN,
    POD_IS_THERE,
    VOLUME,
    Scenario,
    mounted,
    template,
)

CONFIG_MAP = "{name: t, configMap: {name: kube-root-ca.crt}}"
NOT_AUTOMATIC = "automountServiceAccountToken: false, "
IN_POD = "kubectl -n $NS exec deploy/web -c app --"
COPIED = FULL.replace("{name: t,", "{name: kube-api-access-x7k2p,")
COPIED_AT_PLACE = AT_PLACE.replace("{name: t,", "{name: kube-api-access-x7k2p,")
SAID_READ_ONLY = "kubectl -n $NS get pods -o json | grep -q 'read-only file system'"

SCENARIOS = [
    Scenario(
        "mount-path-shadowed",
        "SAT301",
        "pod",
        template(mounted(AT_PLACE, "{name: t, emptyDir: {}}")),
        wait=POD_IS_THERE,
    ),
    Scenario(
        "mount-path-shadowed-alone",
        "SAT301",
        "pod/web",
        template(
            "automountServiceAccountToken: false, "
            + mounted(AT_PLACE, "{name: t, configMap: {name: kube-root-ca.crt}}"),
            kind="Pod",
        ),
    ),
    Scenario(
        "container-not-mounting-token",
        "SAT302",
        "deploy/web",
        template(f"automountServiceAccountToken: false, {PLAIN}, volumes: [{FULL}]"),
        wait=POD_IS_THERE,
    ),
    Scenario(
        "token-at-custom-path",
        "SAT303",
        "pod",
        template(
            "automountServiceAccountToken: false, "
            + mounted("{name: t, mountPath: /tokens}", VOLUME % "")
        ),
        wait=POD_IS_THERE,
        certainty="likely",
    ),
    Scenario(
        "projected-foreign-audience-used-for-api",
        "SAT304",
        "pod",
        template(mounted(AT_PLACE, VOLUME % ", audience: 'https://kubernetes.default.example'")),
        wait=POD_IS_THERE,
        certainty="likely",
    ),
    Scenario(
        "duplicate-mount-alias",
        "SAT306",
        "pod",
        template(mounted(f"{{name: t, mountPath: {PLACE}/}}", CONFIG_MAP)),
        wait=POD_IS_THERE,
        # what lies beneath is still mounted, and nobody can see it
        proof=f"{IN_POD} sh -c 'test $(grep -c kubernetes.io/serviceaccount /proc/mounts) = 1'",
        where=("node",),
    ),
    Scenario(
        "fake-kube-api-access-volume",
        "SAT307",
        "pod",
        template(
            mounted(
                "{name: kube-api-access-cache, mountPath: /cache}",
                "{name: kube-api-access-cache, emptyDir: {}}",
            )
        ),
        wait=POD_IS_THERE,
        where=("live",),
    ),
    Scenario(
        "fake-kube-api-access-volume-without-use",
        "SAT307",
        "deploy/web",
        template(f"{PLAIN}, volumes: [{{name: kube-api-access-cache, emptyDir: {{}}}}]"),
        wait=POD_IS_THERE,
        where=("live",),
    ),
    Scenario(
        "copied-pod-spec",
        "SAT308",
        "deploy/web",
        template(mounted(COPIED_AT_PLACE, COPIED)),
        wait=POD_IS_THERE,
        # the API server makes its own again
        proof="kubectl -n $NS get pods -o name | xargs -n1 kubectl -n $NS get "
        "-o jsonpath='{.spec.volumes[*].name}{\"\\n\"}' | grep kube-api-access | grep -v x7k2p",
        where=("live",),
    ),
    Scenario(
        "ephemeral-container-no-token",
        "SAT309",
        "pod/web",
        template(PLAIN, kind="Pod"),
        events=(
            "kubectl -n $NS wait --for=condition=Ready pod/web --timeout=60s",
            "kubectl -n $NS debug web --image=busybox:1 -c debugger --image-pull-policy=Never "
            "-- sleep 600",
        ),
        proof=f"kubectl -n $NS exec web -c debugger-token -- cat {PLACE}/token >/dev/null",
        where=("node",),
    ),
    Scenario(
        "manual-volume-missing-ca-or-namespace",
        "SAT310",
        "pod",
        template(mounted(AT_PLACE, VOLUME % "")),
        wait=POD_IS_THERE,
        where=("node",),
    ),
    Scenario(
        "manual-volume-with-the-token-by-another-name",
        "SAT310",
        "pod",
        template(mounted(AT_PLACE, FULL.replace("path: token", "path: jwt"))),
        wait=POD_IS_THERE,
        where=("live",),
    ),
    Scenario(
        "windows-paths",
        "SAT311",
        "pod",
        template(
            f"os: {{name: windows}}, {NOT_AUTOMATIC}"
            + mounted(AT_PLACE.replace("/var/run", "/run"), FULL)
        ),
        wait=POD_IS_THERE,
        certainty="possible",
        where=("live",),
    ),
    Scenario(
        "readonly-parent-mount",
        "SAT312",
        "pod",
        template(mounted("{name: t, mountPath: /run/secrets}", CONFIG_MAP)),
        wait=SAID_READ_ONLY,
        where=("node",),
    ),
    Scenario(
        "readonly-parent-mount-empty",
        "SAT312",
        "pod/web",
        template(
            mounted(
                "{name: t, mountPath: /var/run/secrets, readOnly: true}", "{name: t, emptyDir: {}}"
            ),
            kind="Pod",
        ),
        where=("node",),
    ),
]
