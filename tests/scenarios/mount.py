"""The token is not where the container looks."""

from tests.scenarios import AT_PLACE, FULL, PLAIN, POD_IS_THERE, VOLUME, Scenario, mounted, template

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
]
