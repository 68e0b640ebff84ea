"""What programs say when a token fails, and what is meant: the table that explain looks up.

The texts are those of Kubernetes 1.36 (authentication: pkg/serviceaccount and the token
authenticators; authorization: the ForbiddenStatusError of the API server; kubelet events;
admission) and of older servers where they differ, of kubectl and client-go, and of the common
clients. A row is data; where a check of the same name exists, its page says more.
"""

from collections.abc import Iterable
from typing import NamedTuple

# A text is found by a piece of it that stands in every such line, and then by a pattern whose named
# groups are what the next command needs. A text without a pattern is its own piece.
Text = str | tuple[str, str]


class Message(NamedTuple):
    """A rule that texts belong to: what they mean, what mends it, and where to look next.

    ``look`` is what doctor is to be asked about: "pod", "account", "secret", or "" where it cannot
    help. ``then`` are further lines for kubectl, with {fields} of the match; those with a field
    that the text does not have are left out. Where it ``grant``s, the least role is printed as
    well. A ``generic`` text says less than any other, and counts only where no other is found. What
    could not be ``verified`` was not seen on a real system, nor in its source.
    """

    name: str
    title: str
    texts: tuple[Text, ...]
    meaning: str
    fix: str
    look: str = "pod"
    then: tuple[str, ...] = ()
    grant: bool = False
    generic: bool = False
    verified: bool = True


PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"

# Names in quotes as the API machinery writes them: "X", or NS/X.
QUOTED = r'"(?P<account>[^"\s]+)"'
SLASHED = r"(?P<namespace>[a-z0-9][-a-z0-9]*)/(?P<account>[a-z0-9][-a-z0-9.]*)"

ANY = r'[^"]*'
ACCOUNT = r'system:serviceaccount:[^":]*:[^"]*'
RESOURCE = r'resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)" '
IN_NAMESPACE = r'in the namespace "(?P<namespace>[^"]+)"'
CLUSTER = r"at the (?P<scope>cluster) scope"
PATH = r'path "(?P<path>[^"]+)"'
ANYTHING = rf"(?:{RESOURCE}(?:{IN_NAMESPACE}|{CLUSTER})|{PATH})"


def forbidden(user: str = ANY, what: str = ANYTHING, then: str = "", verb: str = r"\S+") -> Text:
    """The text of a 403 of the API server (ForbiddenStatusError), of some users or things."""
    return (
        "forbidden: User ",
        rf'(?:[\w.-]+(?: "(?P<name>[^"]+)")? is )?forbidden: User "(?P<user>{user})" '
        rf"cannot (?P<verb>{verb}) {what}{then}",
    )


def resource(pattern: str) -> str:
    """What is forbidden, where it is one of some resources."""
    where = rf"(?:{IN_NAMESPACE}|{CLUSTER})"
    return RESOURCE.replace('(?P<resource>[^"]+)', f"(?P<resource>{pattern})") + where


TO_API = r"https://[^\s\"/]+/apis?/[^\n]{0,200}?"

FETCH = "failed to fetch token: "
FAILED_PATTERN = r"failed to fetch token: (?:[^\n]*?: )?"


#: The table. Of two texts in the same place of a line the upper one counts.
MESSAGES = (
    # --- the kubelet cannot get a token (event FailedMount)
    Message(
        "kubelet-token-sa-missing",
        "The kubelet gets no token: the service account is gone.",
        ((FETCH, FETCH + rf"serviceaccounts {QUOTED} not found"),),
        "The service account was deleted after the pod was admitted, so the pod waits in "
        "ContainerCreating, or its token is not renewed.",
        "Create the service account again and restart its pods: the new one has another UID.",
    ),
    Message(
        "kubelet-token-no-relationship",
        "The node may not ask for this pod's token: it seems not to run there.",
        (
            forbidden(
                then=r": no relationship found between node '(?P<node>[^']+)' and this object"
            ),
        ),
        "Right after a pod was bound, or the API server was restarted, this passes by itself. If "
        "it goes on for minutes, the pod is gone or bound to another node, or the kubelet goes by "
        "another name.",
        "Wait a minute. Then compare the pod's spec.nodeName with the node in the message, and "
        "restart the kubelet or mend its credentials.",
    ),
    Message(
        "kubelet-token-other-node",
        "The kubelet asks for the token of a pod that is bound to another node.",
        (
            "node requested token bound to a pod scheduled on a different node",
            "node requested token not bound to a pod",
            "node requested token with a pod binding without a uid",
        ),
        "The pod was deleted and made again under the same name on another node, and this kubelet "
        "still has the old one.",
        "Let the kubelet clean up. If it does not, restart it, or delete the pod once more.",
    ),
    Message(
        "kubelet-token-pod-uid-mismatch",
        "The token was asked for a pod that has been made anew since.",
        (
            (
                FETCH,
                FAILED_PATTERN + r"the UID in the bound object reference \([^)]*\) does not match "
                r"the UID in record",
            ),
        ),
        "The kubelet has a pod of the same name but with another UID (a StatefulSet's, or one "
        "that an operator replaced).",
        "Let the kubelet clean up; delete the stale pod if it stays.",
    ),
    Message(
        "kubelet-token-pod-gone",
        "The kubelet asks for the token of a pod that is gone.",
        ((FETCH, FETCH + r'pods "(?P<pod>[^"]+)" not found'),),
        "The pod was deleted, perhaps by force, while the kubelet still sets it up.",
        "Nothing if it stops. Else restart the kubelet of that node.",
    ),
    Message(
        "node-audience-restricted",
        "The node may not ask for a token for this audience.",
        (
            (
                "request tokens for",
                r'(?:serviceaccounts "(?P<account>[^"]+)" is forbidden: )?'
                r'(?:audience "(?P<audience>[^"]*)" not found in pod spec volume, \S+ )?'
                r"is not authorized to request tokens for (?:this )?audience",
            ),
            ("error validating audience ", r'error validating audience "(?P<audience>[^"]*)"'),
            "node may only request 0 or 1 audiences",
        ),
        "Since 1.33 a kubelet gets tokens only for audiences that stand in a volume of the pod or "
        "in the CSIDriver of one of its volumes. Credential providers for image pulls and old "
        "drivers ask for others.",
        "Allow the group system:nodes the verb request-serviceaccounts-token-audience on the "
        "resource that is called like the audience, with the service account as resourceName.",
    ),
    Message(
        "tokenrequest-api-missing",
        "The API server cannot make tokens at all.",
        (
            "the API server does not have TokenRequest endpoints enabled",
            (FETCH, FETCH + r"the server could not find the requested resource"),
        ),
        "kube-apiserver was started without --service-account-issuer or without "
        "--service-account-signing-key-file, or is older than the kubelet expects.",
        "Whoever runs the control plane has to set both flags.",
        then=("get --raw /api/v1",),
    ),
    Message(
        "external-signer-failing",
        "The API server could not sign a token.",
        ("failed to generate token: ",),
        "The external signer (--service-account-signing-endpoint) does not answer, or answers "
        "with a header or key that the API server does not take. No token can be made for anyone.",
        "Whoever runs the control plane has to mend the signer. A token asked for by hand fails "
        "with the same words.",
        then=("create token default",),
    ),
    Message(
        "tokenrequest-denied-by-admission",
        "A webhook or policy refuses to let the kubelet have the token.",
        (
            (FETCH, FAILED_PATTERN + r'admission webhook "(?P<webhook>[^"]+)" denied'),
            (FETCH, FAILED_PATTERN + r"ValidatingAdmissionPolicy '(?P<policy>[^']+)'[^\n]* denied"),
        ),
        "Its rules match the creation of serviceaccounts/token, mostly by resources: '*/*'.",
        "Take the subresource out of its rules, or mend the webhook.",
        then=("get validatingwebhookconfigurations,validatingadmissionpolicies",),
    ),
    Message(
        "kubelet-apiserver-unreachable",
        "The kubelet gets no token: it does not reach the API server.",
        (
            (
                FETCH,
                FETCH + r"[^\n]*?(?:context deadline exceeded|\bEOF\b|connection refused|"
                r"i/o timeout|x509:|no route to host)",
            ),
        ),
        "This is a fault of the node or of the network, not of the pod; other pods on that node "
        "have it, too.",
        "Look at the node: whether it is Ready, and what its kubelet logs.",
        then=("get nodes -o wide",),
    ),
    Message(
        "kubelet-refresh-failing",
        "The kubelet cannot renew the token of a running pod.",
        (
            "Couldn't update token",
            ("expired and refresh failed", r"token [^\n]{0,120}expired and refresh failed"),
        ),
        "The pod goes on with the old token until that ends, and gets 401 from then on. The error "
        "behind it stands at the end of the line.",
        "Follow that error; the pods of the same service account on other nodes tell whether it is "
        "the node.",
    ),
    Message(
        "csi-token-request-failing",
        "The kubelet gets no token for a CSI driver.",
        (
            "failed to get service accoount token attributes",
            "failed to get service account token attributes",
        ),
        "CSIDriver.spec.tokenRequests asks for tokens on behalf of the pod's service account; "
        "this is not the token by which the pod talks to the API server.",
        "Look at the CSIDriver's tokenRequests and at what follows in the message.",
        then=("get csidrivers",),
    ),
    Message(
        "image-pull-token-failing",
        "The kubelet gets no token for a pull of an image.",
        (("failed to get service account token", r"failed to get service account token: [^\n]*"),),
        "A credential provider for images wants a token of the pod's service account, or an "
        "annotation that the service account does not have.",
        "Compare the provider's configuration on the node with the service account's annotations.",
    ),
    Message(
        "kube-root-ca-missing",
        "The ConfigMap kube-root-ca.crt is missing, so the token is not mounted.",
        ('configmap "kube-root-ca.crt" not found', 'configmaps "kube-root-ca.crt" not found'),
        "kube-controller-manager publishes it into every namespace. Somebody deleted it, or the "
        "controller does not run, may not write, or the namespace is going away.",
        "It comes back within seconds where the controller runs; see that it does.",
        then=("get configmap kube-root-ca.crt",),
    ),
    Message(
        "kube-root-ca-bad-data",
        "The ConfigMap kube-root-ca.crt has no key ca.crt.",
        ("configmap references non-existent config key: ca.crt",),
        "Somebody edited it, or something else owns a ConfigMap of that name.",
        "Delete it: kube-controller-manager publishes it anew.",
        then=("delete configmap kube-root-ca.crt",),
    ),
    Message(
        "not-registered-transient",
        "The kubelet does not know the object yet: this passes.",
        (
            (
                '"kube-root-ca.crt" not registered',
                r'object "(?P<namespace>[^"]+)"/"kube-root-ca.crt" not registered',
            ),
            "failed to sync configmap cache",
        ),
        "A pod starts or ends, or the kubelet was restarted; its cache catches up.",
        "Nothing, unless it repeats for minutes on a pod that is to run.",
    ),
    Message(
        "legacy-secret-not-populated",
        "The token Secret is empty.",
        (
            "references non-existent secret key: token",
            "Controller is disabled because there is no private key",
        ),
        "No controller has put a token into it: kube-controller-manager does not run, has no "
        "--service-account-private-key-file, or its write is refused.",
        "Mend the controller, then change the Secret so that it tries again.",
        "secret",
    ),
    Message(
        "pod-references-missing-token-secret",
        "A pod wants a token Secret that is not there.",
        (("-token-", r'secrets? "(?P<secret>[a-z0-9][-a-z0-9.]*-token-[a-z0-9]{5})" not found'),),
        "The name of a Secret that Kubernetes made before 1.24 is written into the pod. Since then "
        "none is made, and unused ones are purged.",
        "Take the volume out of the template: the projected token is mounted by itself. For the "
        "rest make a Secret of type kubernetes.io/service-account-token.",
    ),
    Message(
        "volume-error-blocks-rotation",
        "A broken volume keeps the kubelet from renewing the pod's token.",
        ("PVC is being deleted", "PVC is not bound"),
        "The kubelet renews the files of a pod only when every volume of it is in order. While a "
        "claim is going away or unbound, the token grows old and then is refused.",
        "Mend the PersistentVolumeClaim, or make the pod anew without it.",
        then=("get pvc",),
    ),
    Message(
        "readonly-parent-mount",
        "The token cannot be mounted: a read-only volume lies above its folder.",
        (
            (
                "read-only file system",
                r"(?:mkdir|mount|create)[^\n]*run/secrets/kubernetes\.io[^\n]*"
                r"read-only file system",
            ),
        ),
        "Something read-only is mounted at /var/run/secrets, /run/secrets or above, so the folder "
        "for the token cannot be made and the container never starts.",
        "Mount that volume elsewhere, or set automountServiceAccountToken: false.",
    ),
    # --- the pod cannot be made
    Message(
        "sa-not-found",
        "The pod's service account does not exist in its namespace.",
        (
            (
                "error looking up service account",
                rf"error looking up service account {SLASHED}"
                r'(?:: serviceaccount "[^"]+" not found)?',
            ),
        ),
        "No pod can be made until it does. A service account of another namespace cannot be used.",
        "Create it, or correct spec.serviceAccountName; controllers try again by themselves.",
        "account",
        then=("create serviceaccount {account}",),
    ),
    Message(
        "old-admission-needs-secret",
        "The server waits for a token Secret that its controller has not made.",
        (
            (
                "No API token found for service account",
                rf"No API token found for service account {QUOTED}",
            ),
        ),
        "Servers before 1.22 give pods the token of a Secret, and the token controller has not "
        "made one.",
        "See that kube-controller-manager runs with its private key, and upgrade the cluster.",
        "account",
    ),
    Message(
        "enforce-mountable-secrets",
        "The service account may use only the Secrets that it lists.",
        (
            (
                "does not reference that",
                r'="(?P<secret>[^"]+)" is not allowed because service account (?P<account>\S+) '
                r"does not reference that",
            ),
        ),
        'It has the annotation kubernetes.io/enforce-mountable-secrets: "true", and the Secret '
        "is not in its .secrets (or .imagePullSecrets).",
        "Add the Secret there, or remove the annotation, which is deprecated since 1.32. A token "
        "Secret that is added counts as generated from then on, and is purged when unused.",
        "account",
    ),
    Message(
        "static-pod-no-token",
        "A static pod can have no token.",
        (
            ("a mirror pod may not", r"a mirror pod may not (?:reference|use) [^\n]{0,60}"),
            ("static pods may not reference", r"static pods may not reference [^\n]{0,60}"),
        ),
        "It is started by the kubelet from a file and is no object of the API server; service "
        "account, Secrets, ConfigMaps and tokens are out of its reach.",
        "Make it a DaemonSet or Deployment, or give it a kubeconfig of the host.",
    ),
    Message(
        "projection-without-sa",
        "A token volume is asked for without a service account.",
        ("must not be specified when serviceAccountName is not set",),
        "The API server's ServiceAccount admission is off, or the pod is a static one.",
        "Set spec.serviceAccountName, and see that the admission plugin is on.",
    ),
    Message(
        "projection-expiration-out-of-range",
        "The lifetime asked for is not allowed.",
        (
            (
                "expirationSeconds: Invalid value",
                r"serviceAccountToken\.expirationSeconds: Invalid value: \S+ may not specify a "
                r"duration [^\n]{0,40}",
            ),
            (
                "Expected value to be between 3600 and 86400",
                r"token expiration \S+ not valid\. Expected value to be between 3600 and 86400",
            ),
        ),
        "expirationSeconds of a token is from 600 (ten minutes) to 2^32; the webhook of Azure "
        "Workload Identity takes from 3600 to 86400.",
        "Correct expirationSeconds; 3607 is what Kubernetes itself uses.",
        "",
    ),
    Message(
        "projection-bad-path",
        "The path of a projected file is not allowed.",
        (
            ("must be a relative path", r"projected[^\n]*must be a relative path"),
            ("must not contain '..'", r"projected[^\n]*must not contain '\.\.'"),
            ("must not start with '..'", r"projected[^\n]*must not start with '\.\.'"),
            (".projected.path: Required value", r"\.projected\.path: Required value"),
        ),
        "Each source of a projected volume needs a path below the volume. Kubernetes leaves the "
        "source out of the field's name when the path of a token is empty.",
        "Write path: token, or another one below the volume.",
        "",
    ),
    Message(
        "projection-duplicate-path",
        "Two sources of a volume write the same file.",
        (("overlapping paths", r'volume "(?P<volume>[^"]+)" \(Projected\): overlapping paths'),),
        "The server only warns; the last source wins, so a token may be overwritten by another.",
        "Give each source a path of its own.",
    ),
    Message(
        "projection-unknown-field-audiences",
        "A token volume has one audience, not several.",
        (("serviceAccountToken.audiences", r"unknown field[^\n]*serviceAccountToken\.audiences"),),
        "The field is called audience. Where unknown fields are dropped, the token is silently for "
        "the API server.",
        "Write audience: NAME, once for each source.",
        "",
    ),
    Message(
        "expiration-capped",
        "The token lives shorter than asked for.",
        (
            (
                "requested expiration of",
                r"requested expiration of \d+ seconds shortened to \d+ seconds",
            ),
        ),
        "The API server caps lifetimes by --service-account-max-token-expiration (managed clusters "
        "set it to a day or two).",
        "Ask for a new token before the time that the answer names; pods need nothing.",
        "",
    ),
    Message(
        "extension-not-active",
        "Tokens of pods get no grace: clients that read them once fail after an hour.",
        ("service-account-max-token-expiration must be set longer than 3607 seconds",),
        "The cap of 3607 seconds or less also switches off the year of grace that the API server "
        "gives clients which do not read the token file again.",
        "Update clients so that they read the file again, or raise the cap.",
    ),
    # --- the API server refuses the token (401)
    Message(
        "token-expired",
        "The token has expired.",
        ("service account token has expired", "Token has expired."),
        "A client that keeps the token it read at its start, a copy of a token outside its pod, a "
        "file mounted by subPath, a kubelet that cannot renew it, or a clock that is wrong. "
        "`kubectl create token` gives one hour unless asked for more.",
        "In a pod: see that the client reads the file again, and restart it for now. In a script: "
        "ask for a new token each time, or for --duration.",
    ),
    Message(
        "token-clock-skew",
        "The token is of the future: two clocks differ by more than a minute.",
        (
            "service account token is not valid yet",
            ("issued in the future", r"(?:token|iat)[^\n]{0,40}issued in the future"),
        ),
        "The API server that signed it and the one that reads it differ, or a clock jumped ahead "
        "and came back; such a token is not renewed before its time.",
        "Set the clocks (NTP), then delete the pods whose token is of the future.",
    ),
    Message(
        "token-wrong-audience",
        "The token is for somebody else.",
        (
            (
                "is invalid for the target audiences",
                r"token audiences (?P<audience>\[.*?\]) is invalid for the target audiences "
                r"(?P<wanted>\[.*?\])",
            ),
        ),
        "The first list is for whom it was made, the second who was asked: a token for Vault or a "
        "cloud sent to the API server, or the API server's sent to a service that asks for its own "
        "audience in a TokenReview.",
        "For the API server take the audience out of the volume (or use the token that is mounted "
        "by itself); for a service project a second token with its audience.",
    ),
    Message(
        "token-sa-recreated",
        "The service account was deleted and made anew since the token was made.",
        (
            (
                "does not match claim",
                r"(?:service account|ServiceAccount) UID \([^)]*\) does not match claim",
            ),
        ),
        "Tokens are for a UID. All pods of that service account are refused at once; helm upgrade "
        "--force, hooks that delete and create, and restores do that.",
        "Restart everything that uses the service account; do not delete and create it.",
        "account",
    ),
    Message(
        "token-bound-pod-recreated",
        "The token belongs to an earlier pod of the same name.",
        (
            (
                "pod ref claim",
                r"pod UID \([^)]*\) does not match service account pod ref claim",
            ),
        ),
        "Something kept a token over the end of its pod: a copy outside, a cache, a shared volume.",
        "Read the token from the file in the pod each time; outside of pods use a token that is "
        "not bound to one.",
    ),
    Message(
        "token-bound-object-gone",
        "What the token is bound to is gone.",
        (
            "service account token has been invalidated",
            (
                "ref claim",
                r"(?:secret|node) UID [^\n]{0,120}?does not match service account "
                r"(?:secret|node) ref claim",
            ),
        ),
        "The pod, Secret or node that it was made for was deleted, or has been going away for more "
        "than a minute. Tokens copied out of pods die with the pod.",
        "Get a new token; for use outside of the pod one that is not bound to it.",
    ),
    Message(
        "token-node-binding-disabled",
        "The server does not check tokens that are bound to nodes.",
        (
            "token is bound to a Node object but the ServiceAccountTokenNodeBindingValidation",
            'cannot bind token to a Node object as the "ServiceAccountTokenNodeBinding"',
        ),
        "One API server made the token and another, older or with the feature gate off, reads it.",
        "Bring all API servers to one version, or do not bind the token to a node.",
        "",
    ),
    Message(
        "token-sa-deleted",
        "The token's service account is gone.",
        (
            ("has been deleted", rf"[sS]ervice ?[aA]ccount {SLASHED} has been deleted"),
            ("serviceaccount", rf"serviceaccounts? {QUOTED} not found"),
        ),
        "It was deleted, or has been going away for more than a minute (a finalizer holds it).",
        "Create it again (bindings go by name and still hold), then restart its pods.",
        "account",
        then=("get serviceaccount {account}",),
    ),
    Message(
        "legacy-secret-deleted",
        "The Secret that the token comes from is gone.",
        ("Token has been invalidated",),
        "A token of a Secret dies with it: deleted by hand, with its service account or namespace, "
        "or purged because it was unused for a year.",
        "Make a new token (or Secret) and hand it to whoever uses the old one.",
        "secret",
        then=("get secrets --field-selector type=kubernetes.io/service-account-token",),
    ),
    Message(
        "legacy-secret-content-changed",
        "The token is not the one that its Secret has now.",
        ("Token does not match server's copy",),
        "The Secret was made anew or edited, or the copy differs by a space or line end.",
        "Hand out the value that the Secret has now, or better a token that expires.",
        "secret",
    ),
    Message(
        "legacy-token-marked-invalid",
        "The token was unused for so long that the cluster has marked it invalid.",
        (
            (
                "has been marked invalid",
                r"the token in secret (?P<namespace>[^\s/]+)/(?P<secret>\S+) for service account "
                r"(?P<account_namespace>[^\s/]+)/(?P<account>\S+) has been marked invalid",
            ),
        ),
        "Tokens that Kubernetes generated before 1.24 are marked after a year without use, and "
        "deleted after another.",
        "Take the mark off to gain time, then move to tokens that expire.",
        "secret",
        then=("label secret {secret} kubernetes.io/legacy-token-invalid-since-",),
    ),
    Message(
        "legacy-token-malformed-claims",
        "The token lacks what a token of a Secret must say.",
        (
            (
                "claim is missing",
                r"\b(?:sub|namespace|secretName|serviceAccountName|serviceAccountUID) claim is "
                r"missing",
            ),
            "sub claim is invalid",
        ),
        "It was made by hand or by another program, in the name of the old issuer.",
        "Ask the API server for a token instead.",
        "",
    ),
    Message(
        "token-unknown-signing-key",
        "The token is signed with a key that the API server does not know.",
        (
            "invalid signature, no keys found",
            (
                "error in cryptographic primitive",
                r"(?:square/)?go-jose(?:/go-jose)?: error in cryptographic primitive",
            ),
            "crypto/rsa: verification error",
        ),
        "The token is of another cluster, the signing key was replaced without keeping the old "
        "public one, or kube-controller-manager signs with another key than kube-apiserver checks. "
        "If only some requests fail, the API servers differ (ha-key-mismatch).",
        "Whoever runs the control plane adds the old public key to --service-account-key-file on "
        "all servers; with a copied Secret, make a new token.",
        then=("get --raw /openid/v1/jwks",),
    ),
    Message(
        "token-unknown-issuer",
        "No authenticator of this API server takes the token for its own.",
        (("token issuer", r'token issuer "(?P<issuer>[^"]*)" is invalid'),),
        "It is of another cluster or provider, or --service-account-issuer was changed without "
        "keeping the old value as a second one.",
        "Use a token of this cluster; after a change of the issuer restart the pods.",
        then=("get --raw /.well-known/openid-configuration",),
    ),
    Message(
        "token-claims-not-validated",
        "The API server could not make out what the token says.",
        ("service account token claims could not be validated",),
        "This is not expected. The log of kube-apiserver says more beside it.",
        "Ask for a new token; if that is refused as well, report it with the version.",
    ),
    Message(
        "authenticator-wrong-audience",
        "An authenticator answered for an audience that was not asked for.",
        ("error validating audiences",),
        "A token webhook or OIDC authenticator of the API server returns other audiences than it "
        "was given.",
        "Whoever runs that authenticator has to mend it.",
        "",
    ),
    Message(
        "auth-header-malformed",
        "The token was sent, but in a way that the API server does not read.",
        (
            "the provided Authorization header contains extra space before the bearer token",
            "illegal header value",
            ("invalid header field value", r'invalid header field value for "?Authorization'),
        ),
        "Two spaces after Bearer make the request anonymous; a line end in the token makes it no "
        "header at all.",
        "Send `Authorization: Bearer TOKEN` with one space, without quotes or line ends.",
        "",
    ),
    Message(
        "token-copied-out-of-pod",
        "A program outside of the pod uses a copy of its token.",
        ("error getting ClusterInformation: connection is unauthorized",),
        "The CNI on the node has a kubeconfig with the token of a pod that is gone; tokens of pods "
        "die with them.",
        "Restart the pods of the CNI, which write the file anew.",
        "",
        then=("-n kube-system get pods -o wide",),
    ),
    Message(
        "client-caches-token",
        "A client goes on using the token that it read at its start.",
        (
            (
                "seconds after warning threshold",
                r"(?:subject: (?P<user>[^\s,]+), )?"
                r"seconds after warning threshold",
            ),
        ),
        "The kubelet has renewed the file, the client has not read it again. The API server takes "
        "the old one for up to a year, where it is set so, then all requests are refused.",
        "Update the client library: client-go 0.15.7, Python 12.0, Java 9.0 and newer read the "
        "file again. A restart helps until the next time.",
    ),
    Message(
        "expiration-looks-like-one-year",
        "A token that says it lives for a year: that is as it should be.",
        (),
        "The API server gives the pods' usual tokens (expirationSeconds: 3607) a year of grace for "
        "clients that read them once; the claim kubernetes.io warnafter has the hour after which "
        "it notes their use as stale. The kubelet renews the file within the hour all the same.",
        "Nothing. Managed clusters give less, or none: read the file again, as current clients do.",
    ),
    Message(
        "webhook-bound-token",
        "The token is for a webhook of the API server, not for the API.",
        (),
        "Since 1.37 (alpha) a token may be bound to a webhook configuration, by which the API "
        "server shows a webhook who it is. It belongs to no pod.",
        "Use the pod's own token for requests to the API server.",
    ),
    Message(
        "ha-key-mismatch",
        "Some API servers take the token and others refuse it.",
        (),
        "The servers behind one address have different --service-account-key-file or issuers, or "
        "their clocks differ: about every N-th request is refused with 401.",
        "Whoever runs the control plane gives the same keys, in the same order, to all.",
        then=("get endpointslices -n default -l kubernetes.io/service-name=kubernetes",),
    ),
    # --- the API server knows who asks, and says no (403)
    Message(
        "rbac-binding-missing-role",
        "A binding names a role that does not exist.",
        (
            forbidden(
                then=r": RBAC: \[?(?P<role_kind>(?:cluster)?role)\.rbac\.authorization\.k8s\.io "
                r'"(?P<role>[^"]+)" not found'
            ),
        ),
        "The service account is bound, but to nothing: a role of that name is not there, or the "
        "binding says Role where a ClusterRole is meant. The role of a binding cannot be changed.",
        "Create the role, or delete the binding and create it with the right one.",
        "account",
        then=("get {role_kind} {role}",),
    ),
    Message(
        "jwks-discovery",
        "Somebody who verifies tokens by themselves cannot get the cluster's keys.",
        (
            forbidden(what=r'path "(?P<path>/openid/v1/jwks|/\.well-known/openid-configuration)"'),
            "No OpenIDConnect provider found in your account",
            "couldn't retrieve verification key from your identity provider",
            "oidc: issuer did not match",
            "issuer URL must use https scheme",
            "either the JWKS URI or the default external address",
        ),
        "The documents are for service accounts, not for everybody; they are not served at all "
        "when the issuer is no https URL; and they name an address that may not be reachable from "
        "outside. A copy of them ages when keys are replaced.",
        "Bind system:service-account-issuer-discovery to who asks, or publish the documents at the "
        "issuer's address.",
        "",
        then=("get --raw /.well-known/openid-configuration",),
    ),
    Message(
        "no-token-sent",
        "The request came without a token: nobody is known to be asking.",
        (forbidden(r"system:anonymous"),),
        "This is not about RBAC. The token file is missing or empty, the variable that holds it "
        "is, or a proxy or redirect dropped the header.",
        "Find out why the client has no token; do not grant rights to system:anonymous.",
    ),
    Message(
        "aggregated-api-403",
        "An aggregated API server may not do what it needs to check requests.",
        (
            (
                "extension-apiserver-authentication",
                r'configmaps "extension-apiserver-authentication" is forbidden: '
                r'User "(?P<user>[^"]*)"',
            ),
            forbidden(what=resource("subjectaccessreviews"), verb="create"),
        ),
        "It reads the ConfigMap extension-apiserver-authentication in kube-system and asks by "
        "SubjectAccessReview, as its own service account.",
        "Bind that service account to the Role extension-apiserver-authentication-reader in "
        "kube-system and to the ClusterRole system:auth-delegator.",
        "account",
        then=("get apiservices",),
    ),
    Message(
        "external-tokenreviewer-broken",
        "A service that checks the tokens of others may not do so.",
        (forbidden(what=resource("tokenreviews"), verb="create"),),
        "Vault, kube-rbac-proxy and the like ask by TokenReview, as their own service account; "
        "while that is refused, they refuse everybody.",
        "Bind its service account to the ClusterRole system:auth-delegator.",
        "account",
        then=(
            "create clusterrolebinding {account}-auth-delegator "
            "--clusterrole=system:auth-delegator --serviceaccount={account_namespace}:{account}",
        ),
    ),
    Message(
        "tokenrequest-rbac-missing",
        "Whoever asked may not make tokens of this service account.",
        (forbidden(what=resource("serviceaccounts/token")),),
        "Making a token needs the verb create on serviceaccounts/token, which edit and admin have; "
        "resourceNames may name the service account.",
        "Grant that in the namespace of the service account whose token is wanted.",
        "account",
        then=(
            "create role token-of-{name} --verb=create --resource=serviceaccounts/token "
            "--resource-name={name}",
        ),
    ),
    Message(
        "wrong-server-not-apiserver",
        "It is not the API server that answers, but a kubelet.",
        (
            (
                "Forbidden (user=",
                r"Forbidden \(user=(?P<user>[^,]+), verb=(?P<verb>[^,]+), "
                r"resource=(?P<resource>[^,)]+)",
            ),
        ),
        "A kubelet asks the API server whether the user may use nodes/proxy, nodes/metrics, "
        "nodes/stats and the like. Only a JSON Status with the words known from the API server "
        "comes from the API server; a plain `Unauthorized` is of a proxy, registry or kubelet.",
        "Grant the subresource of nodes that the message names, by a ClusterRoleBinding.",
        "account",
    ),
    Message(
        "kubelet-api-403",
        "The user may not use the API of the nodes.",
        (
            forbidden(
                what=resource(
                    "nodes/(?:proxy|metrics|stats|log|healthz|configz|pods|checkpoint|spec)"
                )
            ),
        ),
        "The subresources of nodes are granted one by one, and always cluster-wide.",
        "Grant that subresource by a ClusterRole and a ClusterRoleBinding.",
        "account",
        grant=True,
    ),
    Message(
        "sa-is-not-the-requester",
        "It is a controller of Kubernetes that may not do this, not the pod.",
        (forbidden(r"system:serviceaccount:kube-system:[-a-z]+-controller"),),
        "Controllers act as service accounts of kube-system; the built-in policy grants what they "
        "need, unless somebody changed it.",
        "Look at what the controller was doing; the API server mends its own ClusterRoles when it "
        "is restarted.",
        "",
        then=("get clusterroles -l kubernetes.io/bootstrapping=rbac-defaults",),
    ),
    Message(
        "authz-other-authorizer",
        "Another authorizer than RBAC has an opinion on it.",
        (
            forbidden(then=r": (?P<reason>(?!RBAC: )[A-Za-z][^\n]{3,})"),
            ("Required ", r'Required "(?P<permission>container\.[\w.]+)" permission'),
            "User does not have access to the resource in Azure",
        ),
        "RBAC gives no reason; the words at the end are those of a webhook, of a cloud's "
        "permissions, or of the Node authorizer.",
        "Grant it where that authorizer is managed, or by RBAC, since one yes is enough.",
        "account",
    ),
    Message(
        "unexpected-default-sa",
        "The pod asks as the service account default, which nobody has given any rights.",
        (
            forbidden(r"system:serviceaccount:[^:\"]+:default"),
            (
                "serviceAccountName",
                r'unknown field "(?P<field>spec\.(?:template\.)?serviceAccountName)"',
            ),
        ),
        "spec.serviceAccountName is missing in the pod template, is at the wrong depth of the "
        "manifest, or was empty in a chart.",
        "Set spec.template.spec.serviceAccountName to the service account that has the rights.",
        "account",
    ),
    Message(
        "rbac-nonresourceurls",
        "The path may not be read.",
        (
            forbidden(what=PATH),
            "namespaced rules cannot apply to non-resource URLs",
            "rules cannot apply to both regular resources and non-resource URLs",
        ),
        "Paths are granted by nonResourceURLs in a ClusterRole that is bound by a "
        "ClusterRoleBinding; `*` counts only at the end, and /metrics is not /metrics/cadvisor.",
        "Grant the path cluster-wide.",
        "account",
        grant=True,
    ),
    Message(
        "rbac-cluster-scoped-needs-crb",
        "It was asked for the whole cluster; a RoleBinding is for one namespace.",
        (forbidden(ACCOUNT, RESOURCE + CLUSTER),),
        "Nodes, namespaces and the like, and lists over all namespaces, need a ClusterRole that is "
        "bound by a ClusterRoleBinding.",
        "Bind it cluster-wide, or tell the program to look at one namespace.",
        "account",
        grant=True,
    ),
    Message(
        "rbac-not-granted",
        "No role that is bound to the service account allows this.",
        (forbidden(ACCOUNT),),
        "Verb, resource with its subresource, API group, namespace and name all have to match; "
        "list is not watch, pods is not pods/log, and a RoleBinding is good for its own namespace "
        "only. A role or binding that was just made counts about a second later.",
        "Grant it in the namespace that the message names, to the service account that it names.",
        "account",
        grant=True,
    ),
    Message(
        "rbac-rule-missing",
        "The service account is bound, but no rule of its roles covers the request.",
        (),
        "One of verb, resource, subresource, API group or name is missing: list without watch, "
        "pods without pods/log, patch without update, events without leases, the group of an older "
        "version.",
        "Add what is missing to a rule; can-i prints the least that does it.",
    ),
    Message(
        "rolebinding-wrong-namespace",
        "A RoleBinding would grant it, but in another namespace.",
        (),
        "A RoleBinding counts in its own namespace, wherever the account is. It was made beside "
        "the service account, and what is asked for is elsewhere.",
        "Make it in the namespace of what is asked for, with the namespace of the account in its "
        "subject.",
    ),
    Message(
        "user-not-allowed",
        "The user may not do this, and is no service account.",
        (forbidden(),),
        "The request was made with a client certificate, a person's login or the name of a node. "
        "If a pod was meant to make it, it uses another kubeconfig than you think.",
        "Grant it to that user, or let the pod use its own token.",
        "",
        then=("auth whoami",),
    ),
    # --- refused by admission, which also is a 403
    Message(
        "rbac-escalation-refused",
        "Nobody can grant rights that they do not have themselves.",
        (
            (
                "attempting to grant RBAC permissions not currently held",
                r'user "(?P<user>[^"]*)"[^\n]{0,400}is attempting to grant RBAC permissions not '
                r"currently held",
            ),
            "attempting to grant RBAC permissions not currently held",
        ),
        "An operator or a person creates a role or binding that says more than they may.",
        "Give whoever creates it the same rights, or the verbs escalate and bind on that role.",
        "account",
    ),
    Message(
        "admission-denied-as-403",
        "An admission rule refuses the object; this is not about the rights of the user.",
        (
            (
                "admission webhook",
                r'admission webhook "(?P<webhook>[^"]+)" denied the request',
            ),
            ("violates PodSecurity", r'violates PodSecurity "(?P<level>[^"]+)"'),
            ("exceeded quota", r"exceeded quota: (?P<quota>[^\s,]+)"),
            (
                "because it is being terminated",
                r"unable to create new content in namespace (?P<namespace>\S+) because it is "
                r"being terminated",
            ),
            (
                "ValidatingAdmissionPolicy",
                r"ValidatingAdmissionPolicy '(?P<policy>[^']+)' with binding '[^']+' denied "
                r"request",
            ),
            "unable to validate against any security context constraint",
            (
                "are not allowed in project",
                r'rolebindings to ServiceAccount "(?P<account>[^"]+)" are not allowed in project',
            ),
            ("is not allowed to modify node", r"is not allowed to modify node"),
        ),
        "A webhook, a policy, Pod Security, a quota, OpenShift's SCC or the end of the namespace. "
        "No role or binding changes that.",
        "Change the object so that the rule takes it, or the rule.",
        "",
        then=("get events --field-selector type=Warning",),
    ),
    # --- a token that was asked for by hand
    Message(
        "tokenrequest-rejected",
        "The token that was asked for cannot be made so.",
        (
            "may not specify a duration less than 10 minutes",
            "may not specify a duration larger than 2^32 seconds",
            (
                "to pod running with different serviceaccount name",
                rf"cannot bind token for serviceaccount {QUOTED} to pod running with different "
                r"serviceaccount name",
            ),
            ("cannot bind token to object of type", r"cannot bind token to object of type [^\n]*"),
            (
                "the UID in the bound object reference",
                r"the UID in the bound object reference \([^)]*\) does not match the UID in record",
            ),
            "does not match the UID of the service account",
            "must match the service account name if specified",
        ),
        "At least ten minutes; bound to a pod of this very service account, a Secret or a node, "
        "with the UID that it has now.",
        "Correct the request; leave the UID out where only the name is meant.",
        "",
    ),
    # --- Secrets with tokens
    Message(
        "legacy-auto-token-in-use",
        "A token that Kubernetes generated before 1.24 is still in use.",
        ("instead of auto-generated secret-based tokens",),
        "It works, but is marked invalid after a year without use and deleted after another.",
        "Move to tokens that expire; who must have a lasting one makes a Secret by hand and does "
        "not list it in the service account.",
        "secret",
        then=("get secrets --field-selector type=kubernetes.io/service-account-token",),
    ),
    Message(
        "legacy-token-to-be-purged",
        "The cluster purges a token Secret because nobody used it.",
        (
            "Mark the auto-generated service account token as invalid",
            "Delete auto-generated service account token",
        ),
        "It is listed in .secrets of its service account, no pod refers to it, and it was not used "
        "for a year. Workloads scaled to zero and users outside the cluster are not seen.",
        "Take the mark off and move whoever uses it to tokens that expire.",
        "secret",
        then=("get secrets -A -l kubernetes.io/legacy-token-invalid-since",),
    ),
    Message(
        "legacy-no-auto-secret",
        "A program waits for a token Secret that Kubernetes no longer makes.",
        ("resource name may not be empty", 'secrets "null" not found', 'secrets "" not found'),
        "Since 1.24 a service account has no Secret by itself: .secrets is empty, and scripts that "
        "read .secrets[0].name get nothing. SECRETS 0 is normal.",
        "Ask for a token when it is needed; where it must last, create a Secret of type "
        "kubernetes.io/service-account-token with the annotation "
        "kubernetes.io/service-account.name.",
        "account",
        then=("create token {account}",),
    ),
    Message(
        "legacy-secret-missing-annotation",
        "A token Secret must say for which service account it is.",
        (
            (
                "kubernetes.io/service-account.name]: Required value",
                r'(?:Secret "(?P<secret>[^"]+)" is invalid: )?metadata\.annotations'
                r"\[kubernetes\.io/service-account\.name\]: Required value",
            ),
        ),
        "The annotation kubernetes.io/service-account.name is missing, misspelt, or is a label.",
        "Add the annotation; the service account has to be there already.",
        "",
    ),
    Message(
        "legacy-secret-wrong-type",
        "The type of a Secret cannot be changed.",
        (
            (
                'Invalid value: "kubernetes.io/service-account-token"',
                r'type: Invalid value: "kubernetes\.io/service-account-token": field is immutable',
            ),
        ),
        "It was made without the type, so it is Opaque, and no controller fills it.",
        "Delete it and create it with type: kubernetes.io/service-account-token.",
        "secret",
    ),
    Message(
        "legacy-secret-immutable",
        "An immutable Secret is not filled.",
        (
            (
                "field is immutable when `immutable` is set",
                r"data: Forbidden: field is immutable when",
            ),
        ),
        "With immutable: true an empty token Secret stays empty, and the CA in a full one is never "
        "renewed.",
        "Delete it and create it without immutable.",
        "secret",
    ),
    Message(
        "legacy-secret-before-sa",
        "A token Secret without its service account is deleted at once.",
        ("Service account does not exist, deleting token",),
        "It was applied before its service account, names one of another namespace, or carries the "
        "UID annotation of an earlier one.",
        "Create the service account first, and leave the UID annotation out of manifests.",
        "secret",
    ),
    Message(
        "legacy-base64",
        "A value is not base64, or is so twice.",
        (("illegal base64 data", r"illegal base64 data(?: at input byte \d+)?"),),
        "A token was put into data: as it is, where stringData: takes it so; or one was read from "
        "data: without decoding it.",
        "Write plain tokens into stringData:, and decode what you read from data:.",
        "",
    ),
    Message(
        "sa-secrets-dangling",
        "A Secret for pulling images is not there.",
        ("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets"),
        "imagePullSecrets of the pod or of its service account name Secrets that do not exist in "
        "the namespace; pulls of private images fail, the API token is not concerned.",
        "Create them, or take the names out.",
        then=("get serviceaccounts -o yaml",),
    ),
    # --- creating roles and bindings
    Message(
        "rbac-subject-invalid",
        "A subject of the binding is not well formed.",
        (
            (
                "subjects[",
                r"subjects\[\d+\]\.(?:namespace: Required value|apiGroup: Unsupported value|"
                r"name: Invalid value|kind: Unsupported value)[^\n]{0,80}",
            ),
        ),
        "A service account is {kind: ServiceAccount, name, namespace} without apiGroup, and with "
        "its own name rather than system:serviceaccount:….",
        "Write it so; in a ClusterRoleBinding the namespace is needed.",
        "",
    ),
    Message(
        "rbac-roleref-kind-confusion",
        "The roleRef of the binding is not possible.",
        (
            ("roleRef.", r"roleRef\.(?:kind|apiGroup): Unsupported value[^\n]{0,80}"),
            ("cannot change roleRef", r"cannot change roleRef"),
            (
                "roles.rbac.authorization.k8s.io",
                r'(?:cluster)?roles\.rbac\.authorization\.k8s\.io "(?P<role>[^"]+)" not found',
            ),
        ),
        "A ClusterRoleBinding takes a ClusterRole only, a role has to be there when most users "
        "bind it, and the role of a binding never changes.",
        "Create the role first; to change it, delete the binding and create it anew.",
        "",
    ),
    Message(
        "rbac-subresource-missing",
        "Owner references with blockOwnerDeletion need the right to set finalizers.",
        ("cannot set blockOwnerDeletion if an ownerReference refers to a resource",),
        "The admission plugin OwnerReferencesPermissionEnforcement asks for update on the "
        "subresource finalizers of the owner.",
        "Grant update on OWNERS/finalizers to the service account of the operator.",
        "",
    ),
    # --- the token file
    Message(
        "token-unreadable",
        "The token is there, but the process may not read it.",
        (
            (
                "ermission denied",
                r"(?:serviceaccount/token|secrets/tokens?/)[^\n]{0,80}[Pp]ermission denied|"
                r"[Pp]ermission denied[^\n]{0,80}serviceaccount/token",
            ),
        ),
        "Where all containers have one runAsUser, the file is for that user alone (0600), whatever "
        "defaultMode says; a process that changes its user afterwards cannot read it. With fsGroup "
        "it is for that group (0640), and a process that drops its further groups cannot either.",
        "Set securityContext.fsGroup to a group of the process, or run the container as the user "
        "that it ends up with.",
    ),
    Message(
        "token-file-missing",
        "There is no token where the client looks for it.",
        (
            (
                "o such file",
                r"(?:(?P<file>\S*serviceaccount/token\b)[^\n]{0,60}[Nn]o such file|"
                r"[Nn]o such file or directory[^\n]{0,40}serviceaccount/token\b)",
            ),
            ("ervice token file does not exist", r"[Ss]ervice token file does not exists?"),
            ("oken file is empty", r"[Tt]oken file is empty"),
            "Token file exists but empty",
            (
                "serviceaccount/token",
                r"FileNotFound\w*[^\n]{0,80}serviceaccount/token|"
                r"serviceaccount/token[^\n]{0,60}(?:cannot find|does not exist|ENOENT)",
            ),
        ),
        "The pod or its service account says automountServiceAccountToken: false, another volume "
        "lies there, the token is mounted elsewhere or in another container, or the program does "
        "not run in a pod.",
        "Ask doctor about the pod: it names the one of these reasons, and the patch.",
    ),
    Message(
        "manual-volume-missing-ca-or-namespace",
        "The folder of the token lacks the CA or the namespace.",
        (
            ("Expected to load root CA config from", r"Expected to load root CA config from \S+"),
            (
                "o such file",
                r"serviceaccount/(?:ca\.crt|namespace)\b[^\n]{0,60}[Nn]o such file|"
                r"[Nn]o such file[^\n]{0,40}serviceaccount/(?:ca\.crt|namespace)\b",
            ),
        ),
        "A volume written by hand has only the token, not the other two files that clients read.",
        "Add kube-root-ca.crt and the namespace to the volume, or let Kubernetes mount its own.",
    ),
    # --- the way to the API server
    Message(
        "in-cluster-env-missing",
        "The program does not find the API server's address in its environment.",
        (
            (
                "KUBERNETES_SERVICE_HOST",
                r"unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and "
                r"KUBERNETES_SERVICE_PORT must be defined|KUBERNETES_SERVICE_HOST[^\n]{0,60}"
                r"(?:not set|not defined|must be defined)",
            ),
            "unable to load in-cluster configuration",
            "Service host/port is not set",
        ),
        "It does not run in a pod, or its environment was cleared (sudo, su, cron, env -i) or "
        "overwritten.",
        "Run it as a pod, keep the environment, or give it a kubeconfig.",
    ),
    Message(
        "service-link-env-collision",
        "A Service of the namespace overwrites the API server's address.",
        (
            (":tcp", r"lookup [0-9.]+:tcp\b"),
            (":tcp://", r'(?:parse "?)?https://[\d.]+:tcp://[^\s"]+'),
        ),
        "A Service that is called kubernetes-service makes the variable KUBERNETES_SERVICE_PORT "
        "with a whole URL in it.",
        "Rename the Service, or set enableServiceLinks: false in the pod.",
    ),
    Message(
        "apiserver-ca-mismatch",
        "The client does not trust the certificate of the server.",
        (
            (
                "certificate signed by unknown authority",
                r"(?:x509: )?certificate signed by unknown "
                r"authority",
            ),
            (
                "certificate is valid for",
                r"x509: certificate is valid for [^\n]{1,200}?, not [^\s\"]+",
            ),
            "tls: failed to verify certificate",
            ("CERTIFICATE_VERIFY_FAILED", r"CERTIFICATE_VERIFY_FAILED"),
        ),
        "For the API server: ca.crt in the pod is not of the CA that signed its certificate "
        "(replaced CA, kube-root-ca.crt edited, volume without ca.crt, a proxy between). For other "
        "hosts: their CA is missing in the image.",
        "Give the client the CA of that server; do not switch verification off.",
        then=("get configmap kube-root-ca.crt -o yaml",),
    ),
    Message(
        "proxy-without-no-proxy",
        "The request to the API server goes through a proxy.",
        (
            ("proxyconnect tcp", r"proxyconnect tcp: [^\n]{0,80}"),
            ("Cannot connect to proxy", r"Cannot connect to proxy"),
        ),
        "HTTPS_PROXY is set, and NO_PROXY does not name the API server.",
        "Put $(KUBERNETES_SERVICE_HOST), .svc and the Service range into NO_PROXY.",
    ),
    Message(
        "dns-name-instead-of-ip",
        "The name of the API server is not known to the pod's DNS.",
        (
            (
                "kubernetes.default",
                r"(?:lookup kubernetes\.default\S*[^\n]{0,60}: (?:no such host|i/o timeout|"
                r"server misbehaving)|[Cc]ould not resolve host: kubernetes\.default\S*)",
            ),
        ),
        "The pod has dnsPolicy Default or None, DNS is down, or a NetworkPolicy blocks it. "
        "Clients that use the environment need no name.",
        "Use dnsPolicy: ClusterFirst (with hostNetwork: ClusterFirstWithHostNet), or let the "
        "client use KUBERNETES_SERVICE_HOST.",
    ),
    Message(
        "networkpolicy-egress-blocks-apiserver",
        "The pod gets no answer from the API server's address.",
        (
            (
                "dial tcp",
                r"dial tcp (?P<address>\[?[0-9a-fA-F.:]+\]?:(?:443|6443|8443)): (?:i/o timeout|"
                r"connect: connection timed out|connect: no route to host)",
            ),
            ("context deadline exceeded", TO_API + r"context deadline exceeded"),
            ("i/o timeout", TO_API + r"i/o timeout"),
            ("TLS handshake timeout", TO_API + r"net/http: TLS handshake timeout"),
        ),
        "Packets are dropped on the way: a NetworkPolicy for egress that does not allow the API "
        "server, a firewall, or a wrong address. The token is not the reason: a bad one is "
        "answered.",
        "Allow egress to the Service address on 443 and to the API server's own addresses (an "
        "ipBlock each), and to DNS.",
        then=("get networkpolicies", "get endpointslices -n default"),
    ),
    Message(
        "mesh-sidecar-not-ready",
        "Nothing listens at the API server's address just now.",
        (
            (
                "connection refused",
                r"dial tcp (?P<address>\[?[0-9a-fA-F.:]+\]?:(?:443|6443|8443)): connect: "
                r"connection refused",
            ),
        ),
        "In the first seconds of a pod in a mesh: the sidecar is not ready. Later: the API server "
        "or what leads to it is down.",
        "Let the application wait for the proxy (holdApplicationUntilProxyStarts, or native "
        "sidecars); else look at the API server.",
    ),
    # --- tokens for others than the API server
    Message(
        "vault-agent-finds-no-token",
        "The Vault injector finds no token in the pod.",
        (
            "failed to find service account volume mount",
            "could not find a service account token volume to mount",
        ),
        "It copies the mount of a token that the pod has, and the pod has none: "
        "automountServiceAccountToken is false.",
        "Mount a token, or name one by the annotation "
        "vault.hashicorp.com/agent-service-account-token-volume-name.",
    ),
    Message(
        "vault-refuses-token",
        "Vault refuses the token of the service account.",
        (
            "invalid audience (aud) claim",
            'claim "iss" is invalid',
            ("not authorized", r"(?:namespace|service account name) not authorized"),
        ),
        "The role in Vault names other service accounts, namespaces or audiences, or the mount "
        "still checks the issuer.",
        "Compare the role in Vault with the pod's service account, namespace and audience.",
        verified=False,
    ),
    Message(
        "webhook-token-not-injected",
        "The pod has no token for the cloud: its webhook did not run.",
        (
            "WebIdentityErr: failed fetching WebIdentity token",
            (
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                r"AWS_WEB_IDENTITY_TOKEN_FILE[^\n]{0,60}not (?:set|found)",
            ),
            (
                "AZURE_FEDERATED_TOKEN_FILE",
                r"AZURE_FEDERATED_TOKEN_FILE[^\n]{0,60}not (?:set|found)",
            ),
        ),
        "The annotation of the service account, or the label of the pod, came after the pod was "
        "made, is at the wrong place, or the webhook was not reached.",
        "Set them, then make the pod anew.",
        verified=False,
    ),
    Message(
        "api-token-sent-to-cloud",
        "The cloud got a token that was made for somebody else.",
        ("Incorrect token audience", "AADSTS700212"),
        "The program sends the API server's token, or one with another audience.",
        "Project a token with the audience that the cloud asks for, and let the program use that "
        "file.",
        verified=False,
    ),
    Message(
        "cloud-trust-mismatch",
        "The cloud knows the token's issuer, but does not let this service account in.",
        (
            (
                "AssumeRoleWithWebIdentity",
                r"(?:AccessDenied|Not authorized to perform)[^\n]{0,80}"
                r"sts:AssumeRoleWithWebIdentity",
            ),
            "AADSTS70021",
            "AADSTS700213",
            "No matching federated identity record",
            "iam.serviceAccounts.getAccessToken",
        ),
        "The trust policy or federated credential names another issuer, subject "
        "(system:serviceaccount:NAMESPACE:NAME) or audience.",
        "Compare these three with the pod's service account and the token's audience.",
        "account",
        verified=False,
    ),
    Message(
        "cloud-token-expired",
        "The cloud says that the token has expired.",
        ("AADSTS700024", "ExpiredTokenException"),
        "The program read the file once, the kubelet does not renew it, or a clock is wrong.",
        "See that the program reads the file again; restart the pod for now.",
        verified=False,
    ),
    # --- texts that say little: counted where nothing better is found
    Message(
        "unmounted-volumes",
        "The kubelet waits for the token volume; another event says why.",
        (
            (
                "nmounted volumes=[",
                r"unmounted volumes=\[[^\]]*kube-api-access[^\]]*\]",
            ),
        ),
        "This event only counts what is not mounted yet.",
        "Look for the FailedMount event that has a reason; doctor does.",
        generic=True,
    ),
    Message(
        "volume-not-in-kubelet",
        "The kubelet does not find a volume that it should have set up; it may pass.",
        (
            (
                "to mount into container",
                r'cannot find volume "(?P<volume>[^"]+)" to mount into container "[^"]+"',
            ),
        ),
        "The kubelet was restarted, or the pod is ending.",
        "Nothing, unless it repeats; then delete the pod.",
        generic=True,
    ),
    Message(
        "invalid-bearer-token",
        "The API server knows no authenticator for this token.",
        ("invalid bearer token",),
        "With nothing else beside it in the list this means: the token is of another cluster or "
        "issuer, is still base64, is cut, is in quotes, or is no token at all.",
        "Compare its issuer with the cluster's; it has three parts and begins with ey, and what "
        "begins with ZXlK is still base64.",
        generic=True,
    ),
    Message(
        "unauthorized",
        "The API server does not accept the token; the reason is never in this answer.",
        (
            "You must be logged in to the server",
            "the server has asked for the client to provide credentials",
            (
                "nauthorized",
                r'"reason":\s*"Unauthorized"|\b401\b[^\n]{0,12}Unauthorized|'
                r"Reason: Unauthorized|Unauthorized[^\n]{0,12}\b401\b",
            ),
            "Unable to authenticate the request",
        ),
        "Only a TokenReview and the log of kube-apiserver say why: expired, for another audience, "
        "of a service account or pod that is gone, signed with another key.",
        "Ask doctor about the pod; the words of a TokenReview can be explained here as well.",
        generic=True,
    ),
)


#: Lines as they are found in logs and events, for the pages; the tests find each of them.
EXAMPLES = {
    "kubelet-token-sa-missing": (
        'MountVolume.SetUp failed for volume "kube-api-access-x2k9p" : failed to fetch token: '
        'serviceaccounts "web" not found',
    ),
    "kubelet-token-no-relationship": (
        'failed to fetch token: serviceaccounts "web" is forbidden: User "system:node:n1" cannot '
        'create resource "serviceaccounts/token" in API group "" in the namespace "shop": no '
        "relationship found between node 'n1' and this object",
    ),
    "kubelet-token-pod-uid-mismatch": (
        "failed to fetch token: the UID in the bound object reference (A) does not match the UID "
        "in record. The object might have been deleted and then recreated",
    ),
    "kubelet-token-pod-gone": ('failed to fetch token: pods "web-0" not found',),
    "node-audience-restricted": (
        'serviceaccounts "web" is forbidden: audience "vault" not found in pod spec volume, '
        "system:node:n1 is not authorized to request tokens for this audience",
        'serviceaccounts "web" is forbidden: system:node:n1 is not authorized to request tokens '
        'for audience "vault"',
        'error validating audience "vault": csidrivers.storage.k8s.io "x" not found',
    ),
    "tokenrequest-api-missing": (
        "failed to fetch token: the server could not find the requested resource",
    ),
    "tokenrequest-denied-by-admission": (
        'failed to fetch token: admission webhook "w.example.com" denied the request: no',
        "failed to fetch token: x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' "
        "denied request: no",
    ),
    "kubelet-apiserver-unreachable": (
        'failed to fetch token: Post "https://10.0.0.1:6443/api/v1/namespaces/shop/'
        'serviceaccounts/web/token": context deadline exceeded',
    ),
    "kubelet-refresh-failing": (
        'token "web"/"shop"/[]string(nil)/3607 expired and refresh failed: EOF',
    ),
    "image-pull-token-failing": ("failed to get service account token: not found",),
    "not-registered-transient": ('object "shop"/"kube-root-ca.crt" not registered',),
    "pod-references-missing-token-secret": ('secret "default-token-x7k2p" not found',),
    "readonly-parent-mount": (
        'error mounting ".../kube-api-access-x2k9p" to rootfs at '
        '"/var/run/secrets/kubernetes.io/serviceaccount": mkdir '
        "/run/containerd/rootfs/run/secrets/kubernetes.io: read-only file system",
    ),
    "sa-not-found": (
        'pods "web-6d4" is forbidden: error looking up service account shop/web: serviceaccount '
        '"web" not found',
    ),
    "old-admission-needs-secret": (
        'No API token found for service account "web", retry after the token is automatically '
        "created and added to the service account",
    ),
    "enforce-mountable-secrets": (
        'pods "web" is forbidden: volume with secret.secretName="db" is not allowed because '
        "service account web does not reference that secret",
    ),
    "static-pod-no-token": (
        'pods "etcd-n1" is forbidden: a mirror pod may not reference service accounts',
        "static pods may not reference serviceaccounts",
    ),
    "projection-expiration-out-of-range": (
        "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid "
        "value: 60: may not specify a duration less than 10 minutes",
        "token expiration 600 not valid. Expected value to be between 3600 and 86400",
    ),
    "projection-bad-path": (
        'spec.volumes[0].projected.path: Invalid value: "/token": must be a relative path',
        "spec.volumes[0].projected.path: Invalid value: \"a/../b\": must not contain '..'",
        "spec.volumes[0].projected.path: Invalid value: \"..b\": must not start with '..'",
        "spec.volumes[0].projected.path: Required value",
    ),
    "projection-duplicate-path": (
        'volume "tokens" (Projected): overlapping paths: "token" (ServiceAccountToken) with x',
    ),
    "projection-unknown-field-audiences": (
        'unknown field "spec.volumes[0].projected.sources[0].serviceAccountToken.audiences"',
    ),
    "expiration-capped": (
        "Warning: requested expiration of 864000 seconds shortened to 86400 seconds",
    ),
    "token-clock-skew": ("validation failed, token issued in the future (iat)",),
    "token-wrong-audience": (
        'token audiences ["vault"] is invalid for the target audiences '
        '["https://kubernetes.default.svc.cluster.local"]',
    ),
    "token-sa-recreated": (
        "service account UID (A) does not match claim (B)",
        "ServiceAccount UID (A) does not match claim (B)",
    ),
    "token-bound-pod-recreated": ("pod UID (A) does not match service account pod ref claim (B)",),
    "token-bound-object-gone": (
        "secret UID (A) does not match service account secret ref claim (B)",
        "node UID (A) does not match service account node ref claim (B)",
    ),
    "token-sa-deleted": (
        'serviceaccounts "web" not found',
        "service account shop/web has been deleted",
    ),
    "legacy-token-marked-invalid": (
        "the token in secret shop/web-token-x7k2p for service account shop/web has been marked "
        "invalid. Use tokens from the TokenRequest API",
    ),
    "legacy-token-malformed-claims": ("secretName claim is missing",),
    "token-unknown-signing-key": (
        "go-jose/go-jose: error in cryptographic primitive",
        "square/go-jose: error in cryptographic primitive",
    ),
    "token-unknown-issuer": ('token issuer "https://other.example" is invalid',),
    "auth-header-malformed": ('net/http: invalid header field value for "Authorization"',),
    "client-caches-token": (
        "subject: system:serviceaccount:shop:web, seconds after warning threshold: 120",
    ),
    "rbac-binding-missing-role": (
        'pods is forbidden: User "system:serviceaccount:shop:web" cannot list resource "pods" in '
        'API group "" in the namespace "shop": RBAC: clusterrole.rbac.authorization.k8s.io '
        '"reader" not found',
    ),
    "no-token-sent": (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" '
        'in the namespace "shop"',
    ),
    "jwks-discovery": ('forbidden: User "system:anonymous" cannot get path "/openid/v1/jwks"',),
    "aggregated-api-403": (
        'configmaps "extension-apiserver-authentication" is forbidden: User '
        '"system:serviceaccount:shop:metrics" cannot get resource "configmaps" in API group "" in '
        'the namespace "kube-system"',
        "subjectaccessreviews.authorization.k8s.io is forbidden: User "
        '"system:serviceaccount:shop:metrics" cannot create resource "subjectaccessreviews" in '
        'API group "authorization.k8s.io" at the cluster scope',
    ),
    "external-tokenreviewer-broken": (
        'tokenreviews.authentication.k8s.io is forbidden: User "system:serviceaccount:vault:vault" '
        'cannot create resource "tokenreviews" in API group "authentication.k8s.io" at the cluster '
        "scope",
    ),
    "tokenrequest-rbac-missing": (
        'serviceaccounts "web" is forbidden: User "jane" cannot create resource '
        '"serviceaccounts/token" in API group "" in the namespace "shop"',
    ),
    "wrong-server-not-apiserver": (
        "Forbidden (user=system:serviceaccount:shop:web, verb=get, resource=nodes, "
        "subresource(s)=[proxy metrics])",
    ),
    "kubelet-api-403": (
        'nodes "n1" is forbidden: User "system:serviceaccount:shop:web" cannot get resource '
        '"nodes/proxy" in API group "" at the cluster scope',
    ),
    "sa-is-not-the-requester": (
        'pods is forbidden: User "system:serviceaccount:kube-system:replicaset-controller" cannot '
        'create resource "pods" in API group "" in the namespace "shop"',
    ),
    "authz-other-authorizer": (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the '
        'namespace "shop": requires one of ["container.pods.list"] permission(s)',
        'Required "container.pods.list" permission(s) for "projects/p"',
    ),
    "unexpected-default-sa": (
        'pods is forbidden: User "system:serviceaccount:shop:default" cannot list resource "pods" '
        'in API group "" in the namespace "shop"',
        'unknown field "spec.serviceAccountName"',
    ),
    "rbac-nonresourceurls": (
        'forbidden: User "system:serviceaccount:shop:web" cannot get path "/metrics"',
    ),
    "rbac-cluster-scoped-needs-crb": (
        'nodes is forbidden: User "system:serviceaccount:shop:web" cannot list resource "nodes" '
        'in API group "" at the cluster scope',
    ),
    "rbac-not-granted": (
        'pods is forbidden: User "system:serviceaccount:shop:web" cannot list resource "pods" in '
        'API group "" in the namespace "shop"',
    ),
    "user-not-allowed": (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the '
        'namespace "shop"',
    ),
    "rbac-escalation-refused": (
        'clusterroles.rbac.authorization.k8s.io "r" is forbidden: user '
        '"system:serviceaccount:shop:operator" (groups=["system:authenticated"]) is attempting to '
        "grant RBAC permissions not currently held",
    ),
    "admission-denied-as-403": (
        'admission webhook "w.example.com" denied the request: no',
        'pods "web" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        'pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: '
        "pods=1",
        "unable to create new content in namespace shop because it is being terminated",
        "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        'rolebindings to ServiceAccount "web" are not allowed in project "shop"',
        'nodes "n1" is forbidden: node "n2" is not allowed to modify node "n1"',
    ),
    "tokenrequest-rejected": (
        'cannot bind token for serviceaccount "web" to pod running with different serviceaccount '
        "name.",
        "cannot bind token to object of type apps/v1, Kind=Deployment",
        "the UID in the bound object reference (A) does not match the UID in record. The object "
        "might have been deleted and then recreated",
    ),
    "legacy-secret-missing-annotation": (
        'The Secret "web-token" is invalid: '
        "metadata.annotations[kubernetes.io/service-account.name]: Required value",
    ),
    "legacy-secret-wrong-type": (
        'type: Invalid value: "kubernetes.io/service-account-token": field is immutable',
    ),
    "legacy-secret-immutable": ("data: Forbidden: field is immutable when `immutable` is set",),
    "legacy-base64": ("illegal base64 data at input byte 4",),
    "rbac-subject-invalid": (
        "subjects[0].namespace: Required value",
        'subjects[0].apiGroup: Unsupported value: "rbac.authorization.k8s.io"',
    ),
    "rbac-roleref-kind-confusion": (
        'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
        "cannot change roleRef",
        'clusterroles.rbac.authorization.k8s.io "reader" not found',
    ),
    "token-unreadable": (
        "open /var/run/secrets/kubernetes.io/serviceaccount/token: permission denied",
        "[Errno 13] Permission denied: '/var/run/secrets/kubernetes.io/serviceaccount/token'",
    ),
    "token-file-missing": (
        "open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory",
        "[Errno 2] No such file or directory: "
        "'/var/run/secrets/kubernetes.io/serviceaccount/token'",
        "cat: can't open '/var/run/secrets/kubernetes.io/serviceaccount/token': No such file or "
        "directory",
        "kubernetes.config.config_exception.ConfigException: Service token file does not exist.",
        "Service token file is empty.",
        "java.io.FileNotFoundException: /var/run/secrets/kubernetes.io/serviceaccount/token",
        "Error: ENOENT: no such file or directory, open "
        "'/var/run/secrets/kubernetes.io/serviceaccount/token'",
    ),
    "manual-volume-missing-ca-or-namespace": (
        "Expected to load root CA config from "
        "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt, but got err: no such file",
        "open /var/run/secrets/kubernetes.io/serviceaccount/namespace: no such file or directory",
    ),
    "in-cluster-env-missing": (
        "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and "
        "KUBERNETES_SERVICE_PORT must be defined",
    ),
    "service-link-env-collision": (
        "dial tcp: lookup 10.96.0.1:tcp: no such host",
        'parse "https://10.96.0.1:tcp://10.96.7.7:443": invalid port',
    ),
    "apiserver-ca-mismatch": (
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "x509: certificate is valid for 10.0.0.1, not 10.96.0.1",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer "
        "certificate",
    ),
    "proxy-without-no-proxy": (
        "proxyconnect tcp: dial tcp 10.1.1.1:3128: connect: connection refused",
        "Cannot connect to proxy.",
    ),
    "dns-name-instead-of-ip": (
        "dial tcp: lookup kubernetes.default.svc: no such host",
        "curl: (6) Could not resolve host: kubernetes.default.svc",
    ),
    "networkpolicy-egress-blocks-apiserver": (
        "dial tcp 10.96.0.1:443: i/o timeout",
        'Get "https://10.96.0.1:443/api/v1/pods": context deadline exceeded',
        'Get "https://api.example/apis/apps/v1/deployments": dial tcp 10.0.0.1:8888: i/o timeout',
        'Get "https://10.96.0.1:443/api/v1/pods": net/http: TLS handshake timeout',
    ),
    "mesh-sidecar-not-ready": ("dial tcp 10.96.0.1:443: connect: connection refused",),
    "vault-refuses-token": ("namespace not authorized",),
    "webhook-token-not-injected": (
        "AWS_WEB_IDENTITY_TOKEN_FILE environment variable not set",
        "AZURE_FEDERATED_TOKEN_FILE not set",
    ),
    "cloud-trust-mismatch": (
        "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity",
    ),
    "unmounted-volumes": (
        "Unable to attach or mount volumes: unmounted volumes=[kube-api-access-x2k9p], unattached "
        "volumes=[], failed to process volumes=[]: context deadline exceeded",
    ),
    "volume-not-in-kubelet": (
        'cannot find volume "kube-api-access-x2k9p" to mount into container "app"',
    ),
    "unauthorized": (
        '{"kind":"Status","status":"Failure","message":"Unauthorized","reason":"Unauthorized",'
        '"code":401}',
        "HTTP/1.1 401 Unauthorized",
    ),
}


def find_message(text: str) -> Message | None:
    """The message of that name, in any case."""
    wanted = text.strip().lower()
    for message in MESSAGES:
        if message.name == wanted:
            return message
    return None


# --- finding them ---------------------------------------------------------------------------------

# How a log writes what stands in a message: JSON, HTML, a terminal.
ESCAPES = (
    ("\\u003c", "<"),
    ("\\u003e", ">"),
    ("\\u0026", "&"),
    ("\\u0027", "'"),
    ("\\u0022", '"'),
    ("\\n", " "),
    ("\\t", " "),
    ("&#34;", '"'),
    ("&quot;", '"'),
    ("&#39;", "'"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&amp;", "&"),
)


def plain(line: str) -> str:
    """A line as it was before it was put into JSON, HTML or colours."""
    if "\\" in line or "&" in line:
        while '\\"' in line:  # JSON in JSON has several
            line = line.replace('\\"', '"')
        for escape, meant in ESCAPES:
            line = line.replace(escape, meant)
    if "\x1b" in line:
        import re

        line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line)
    return line


class Match(NamedTuple):
    """A text that was found: the rule, the names in it, and where in the line it stands."""

    message: Message
    fields: dict[str, str]
    start: int
    end: int


class Finder:
    """Looks for all texts in lines. A pattern is compiled when its piece was seen."""

    def __init__(self) -> None:
        self.entries: list[tuple[Message, str, str]] = []
        self.pieces: dict[str, list[int]] = {}
        for message in MESSAGES:
            for text in message.texts:
                piece, pattern = (text, "") if isinstance(text, str) else text
                self.pieces.setdefault(piece, []).append(len(self.entries))
                self.entries.append((message, piece, pattern))

    def pieces_in(self, text: str) -> list[str]:
        """The pieces that stand in a text of many lines: most have none, and need no look."""
        return [piece for piece in self.pieces if piece in text]

    def find(self, line: str, pieces: Iterable[str] | None = None) -> list[Match]:
        """The texts in a plain line, in the order of the table.

        Of two that overlap the upper one counts, and generic ones only alone. ``pieces`` are those
        that it can have.
        """
        import re

        hits = sorted(
            index
            for piece in (self.pieces if pieces is None else pieces)
            if piece in line
            for index in self.pieces[piece]
        )
        found: list[Match] = []
        for index in hits:
            message, piece, pattern = self.entries[index]
            if message.generic and found:
                break
            for match in re.finditer(pattern or re.escape(piece), line):
                if all(match.end() <= one.start or match.start() >= one.end for one in found):
                    fields = {name: value for name, value in match.groupdict().items() if value}
                    found.append(Match(message, fields, match.start(), match.end()))
        return found


# --- what to do next ------------------------------------------------------------------------------


POD_IN_LINE = (
    r'\bpods? ?[="\\]+(?P<namespace>[a-z0-9][-a-z0-9]*)/(?P<pod>[a-z0-9][-a-z0-9.]*)"',
    r'"kind": ?"Pod", ?"namespace": ?"(?P<namespace>[^"]+)", ?"name": ?"(?P<pod>[^"]+)"',
    r'"kind": ?"Pod", ?"name": ?"(?P<pod>[^"]+)", ?"namespace": ?"(?P<namespace>[^"]+)"',
    r"\bpod/(?P<pod>[a-z0-9][-a-z0-9.]*)",
    r'\bpod "(?P<pod>[a-z0-9][-a-z0-9.]*)" \(UID',
)


class Surroundings:
    """What a log tells of the pod that a line is about: the line itself, or a heading above it."""

    #: One of these stands in every text that has headings.
    MARKS = ("Name", "NAMESPACE", "involvedObject")

    def __init__(self) -> None:
        self.name = self.namespace = self.pod = ""
        self.first_is_namespace = False
        self.about: dict[str, str] | None = None

    def heading(self, line: str) -> None:
        """Notes the headings of kubectl describe, of kubectl get -A, and the objects of events."""
        if line.startswith("Name:"):
            self.name, self.namespace, self.pod = line[5:].strip(), "", ""
        elif line.startswith("Namespace:") and self.name:
            self.namespace = line[10:].strip()
        elif line.startswith(("Service Account:", "Node:")) and self.name:
            self.pod = self.name  # other objects have no such line
        elif line.startswith("NAMESPACE "):
            self.first_is_namespace = True
        elif line.strip(' "{').rstrip('": {') == "involvedObject":
            self.about = {}
        elif self.about is not None:
            field, _, value = line.strip(" ,").replace('"', "").partition(": ")
            if field in ("kind", "name", "namespace") and field not in self.about:
                self.about[field] = value

    def of(self, line: str, start: int = 0) -> dict[str, str]:
        """The names that a line tells of a text in it, or the headings above it."""
        import re

        for pattern in POD_IN_LINE:
            found = list(re.finditer(pattern, line))
            if found:
                # a line may hold many events: the last name before the text is that of its own
                before = [match for match in found if match.end() <= start]
                names = (before[-1] if before else found[0]).groupdict()
                if "namespace" not in names and self.first_is_namespace:
                    names["namespace"] = line.split()[0]
                return names
        about = self.about or {}
        if about.get("kind") == "Pod" and "name" in about:
            return {"pod": about["name"], "namespace": about.get("namespace", "")}
        return {"pod": self.pod, "namespace": self.namespace} if self.pod else {}


def with_names(fields: dict[str, str], around: dict[str, str]) -> dict[str, str]:
    """The fields of a match with those that follow from them, or from what is around it."""
    names = {**around, **fields}
    user = names.get("user", "")
    if user.startswith("system:serviceaccount:") and user.count(":") == 3:
        names["account_namespace"], names["account"] = user.split(":")[2:]
    return names


def target(look: str, names: dict[str, str]) -> tuple[str, str]:
    """What doctor is to be asked about, and in which namespace, as far as that is known."""
    namespace = names.get("namespace", "")
    known = {
        "pod": (names.get("pod"), namespace),
        "account": (names.get("account"), names.get("account_namespace") or namespace),
        "secret": (names.get("secret"), namespace),
    }
    word = {"pod": "pod", "account": "sa", "secret": "secret"}
    for kind in (look, "pod", "account"):
        name, where = known[kind]
        if name:
            return f"{word[kind]}/{name}", where
    return f"{word[look]}/NAME", namespace


def next_commands(
    message: Message, names: dict[str, str], namespace: str, flags: tuple[str, ...]
) -> tuple[str, ...]:
    """The lines to run next: doctor with the names filled in, then what else there is to see."""
    from shlex import join

    lines = []
    if message.look:
        what, where = target(message.look, names)
        words = ["kubectl", "satoken", "doctor", what]
        if where or namespace:
            words += ["-n", where or namespace]
        lines.append(join([*words, *flags]))
    question = question_of(names)
    if message.grant and question:
        lines.append(join(["kubectl", "satoken", "can-i", *question, *flags]))
    for template in message.then:
        try:
            words = [word.format_map(names) for word in template.split()]
        except KeyError:
            continue
        where = names.get("namespace") or namespace
        if where and not {"-n", "-A", "--raw"} & set(words):
            words = ["-n", where, *words]
        lines.append(join(["kubectl", *flags, *words]))
    return tuple(lines)


def question_of(names: dict[str, str]) -> list[str]:
    """What a 403 refused as the words of can-i; empty for what is not about a service account."""
    if "account_namespace" not in names or "verb" not in names:
        return []
    account, home = names["account"], names["account_namespace"]
    where = names.get("namespace", "")
    target = f"sa/{account}" if where == home else f"sa/{home}:{account}"
    if "path" in names:
        return [target, names["verb"], names["path"]]
    what, slash, sub = names["resource"].partition("/")
    group = names.get("group", "")
    words = [target, names["verb"], what + (f".{group}" if group else "") + slash + sub]
    if "name" in names:
        words.append(names["name"])
    return [*words, *(("-n", where) if where else ("-A",))]


def grant_commands(
    message: Message, names: dict[str, str], flags: tuple[str, ...]
) -> tuple[str, ...]:
    """The lines that allow what was forbidden, and no more; empty where that is not to be told."""
    from shlex import join

    if not message.grant or "account_namespace" not in names or "verb" not in names:
        return ()
    rule = [f"--verb={names['verb']}"]
    if "path" in names:
        rule.append(f"--non-resource-url={names['path']}")
        what = names["path"].strip("/")
    else:
        what, slash, sub = names["resource"].partition("/")
        group = names.get("group", "")
        rule.append(f"--resource={what}{'.' if group else ''}{group}{slash}{sub}")
        what += f"-{sub}" if sub else ""
        if "name" in names and names["verb"] in ("get", "update", "patch", "delete"):
            rule.append(f"--resource-name={names['name']}")
    kind = "role" if "namespace" in names and "path" not in names else "clusterrole"
    scope = ["-n", names["namespace"]] if kind == "role" else []
    role = "-".join([names["account"], names["verb"], *what.replace("*", "all").split("/")])
    subject = f"--serviceaccount={names['account_namespace']}:{names['account']}"
    return (
        join(["kubectl", *flags, *scope, "create", kind, role, *rule]),
        join(
            ["kubectl", *flags, *scope, "create", f"{kind}binding", role, f"--{kind}={role}"]
            + [subject]
        ),
    )


# --- pages ----------------------------------------------------------------------------------------


def page(message: Message) -> str:
    """The page of a message as Markdown."""
    lines = [f"## {message.name}", "", message.title, ""]
    if message.texts:
        lines += ["### How it is said", ""]
        lines += [f"- {quoted(text)}" for text in said(message)]
        lines.append("")
    lines += ["### What it means", "", *folded(message.meaning), ""]
    lines += ["### How to fix it", "", *folded(message.fix), ""]
    if not message.verified:
        lines += ["These words are from documents and were not seen on a real system.", ""]
    return "\n".join(lines)


def said(message: Message) -> list[str]:
    """Texts of a message as they are found in logs."""
    plain_texts = [text for text in message.texts if isinstance(text, str)]
    return [*EXAMPLES.get(message.name, ()), *plain_texts]


def quoted(text: str) -> str:
    """A text as Markdown shows it letter by letter."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def folded(text: str) -> list[str]:
    """A paragraph in lines of at most 100 columns."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + 1 + len(word) > 100:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
