"""The CA certificate that comes with the token is missing."""

from tests.scenarios import AS_WEB, POD_IS_THERE, Scenario, service_account, template

# The publisher of kube-root-ca.crt loses its right to write, which no API server gives back before
# its next start; the scenario does.
PUBLISHER = "system:controller:root-ca-cert-publisher"

TAKE_RIGHTS = (
    f"kubectl get clusterrolebinding {PUBLISHER} -o yaml > $WORK/publisher.yaml",
    f"kubectl delete clusterrolebinding {PUBLISHER}",
    "until ! kubectl auth can-i create configmaps -n $NS "
    "--as=system:serviceaccount:kube-system:root-ca-cert-publisher; do sleep 0.2; done",
)

GIVE_RIGHTS = (
    "grep -v -E 'resourceVersion|uid|creationTimestamp' $WORK/publisher.yaml | kubectl apply -f -",
)

REMOVE_ROOT_CA = "kubectl -n $NS delete configmap kube-root-ca.crt"

APPLY_AS_WEB = f"kubectl -n $NS apply -f - <<'EOF'\n{template(AS_WEB)}EOF"

SCENARIOS = [
    *(
        Scenario(
            f"kube-root-ca-missing{name}",
            "SAT305",
            "pod",
            service_account(),
            (*TAKE_RIGHTS, REMOVE_ROOT_CA, *events, APPLY_AS_WEB),
            wait=POD_IS_THERE,
            restore=GIVE_RIGHTS,
        )
        for name, events in (
            ("", ()),
            ("-everywhere", ("kubectl -n kube-system delete configmap kube-root-ca.crt",)),
            (
                "-without-certificate",
                ("kubectl -n $NS create configmap kube-root-ca.crt --from-literal=ca.pem=x",),
            ),
        )
    ),
]
