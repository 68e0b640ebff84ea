"""Admission policies that keep new legacy tokens out, so that a migration has an end.

They are printed for whoever may apply them, never applied by us. What is there already goes on to
work: no existing Secret, workload or pod is touched, and what a controller makes from an existing
workload is let pass, however often it makes it anew.
"""

from .errors import UsageError

#: By this label, and value, on a namespace it is exempt.
EXEMPT_LABEL, EXEMPT = "satoken/legacy-tokens", "allowed"

SECRETS_POLICY = "no-new-legacy-token-secrets"
PODS_POLICY = "no-new-use-of-legacy-tokens"
POLICIES = (SECRETS_POLICY, PODS_POLICY)

# What to do about a refusal. CEL has the namespace of the request.
WAY_OUT = f"""
      To allow it here: kubectl label namespace ' + request.namespace + '
      {EXEMPT_LABEL}={EXEMPT}'"""

SECRETS = """\
---
# Refuses new Secrets with a token that never expires; one that is there already can be changed.
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: %(policy)s
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - apiGroups: [""]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [secrets]
  matchConditions:
  - name: not-by-openshift  # which makes them itself, up to 4.15
    expression: >-
      !request.userInfo.username.startsWith('system:serviceaccount:openshift-infra:')
  validations:
  - expression: object.type != 'kubernetes.io/service-account-token'
    reason: Forbidden
    messageExpression: >-
      'a service account token in a Secret never expires. Pods: mount a projected
      serviceAccountToken volume. Anything else: kubectl satoken mint ' +
      object.metadata.?annotations[?'kubernetes.io/service-account.name'].orValue('ACCOUNT') +
      ' -n ' + request.namespace + '.%(way_out)s
"""

PODS = """\
---
# Refuses to begin with such a Secret in a pod or a workload. Each Secret of the namespace is a
# parameter, so it is the type that decides, not a name. That takes the API server up to a
# millisecond for each of them, but not for pods that their labels leave out.
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: %(policy)s
spec:
  failurePolicy: Ignore  # no fault of this policy may keep pods from being made
  paramKind:
    apiVersion: v1
    kind: Secret
  matchConstraints:
    resourceRules:
    - apiGroups: [""]
      apiVersions: [v1]
      operations: [CREATE, UPDATE]
      resources: [pods, replicationcontrollers]
    - apiGroups: [apps]
      apiVersions: [v1]
      operations: [CREATE, UPDATE]
      resources: [daemonsets, deployments, replicasets, statefulsets]
    - apiGroups: [batch]
      apiVersions: [v1]
      operations: [CREATE, UPDATE]
      resources: [cronjobs, jobs]
    objectSelector:
      matchExpressions:
      - key: pod-template-hash  # of Deployments
        operator: DoesNotExist
      - key: controller-revision-hash  # of DaemonSets and StatefulSets
        operator: DoesNotExist
  matchConditions:
  - name: a-token
    expression: params.type == 'kubernetes.io/service-account-token'
  - name: not-by-a-controller  # whose workload was let pass, or was there before this policy
    expression: >-
      !object.metadata.?ownerReferences.orValue([]).exists(owner, owner.?controller.orValue(false))
  variables:
  - name: spec
    expression: >-
      %(spec)s
  - name: takes
    expression: >-
      %(takes)s
  - name: old
    expression: >-
      %(old)s
  - name: took
    expression: >-
      %(took)s
  validations:
  - expression: "!variables.takes || (oldObject != null && variables.took)"
    reason: Forbidden
    messageExpression: >-
      'secret ' + params.metadata.name + ' holds a service account token that never expires. Mount
      a projected serviceAccountToken volume in its place: kubectl satoken migrate secret/' +
      params.metadata.name + ' -n ' + request.namespace + ' shows it.%(way_out)s
"""

BINDING = """\
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: %(policy)s
spec:
  policyName: %(policy)s
  validationActions: [%(actions)s]
  matchResources:
    namespaceSelector:
      matchExpressions:
      - key: %(label)s
        operator: NotIn
        values: [%(value)s]
"""

# Helm keeps its releases in Secrets: many, large, and never tokens.
PARAMETERS = """\
  paramRef:
    parameterNotFoundAction: Allow
    selector:
      matchExpressions:
      - key: owner
        operator: NotIn
        values: [helm]
"""

SPEC = """\
request.kind.kind == 'Pod' ? dyn(%(root)s).spec :
      request.kind.kind == 'CronJob' ? dyn(%(root)s).spec.jobTemplate.spec.template.spec :
      dyn(%(root)s).spec.template.spec"""

TAKES = """\
%(spec)s.?volumes.orValue([]).exists(volume,
        volume.?secret.?secretName.orValue('') == params.metadata.name ||
        volume.?projected.?sources.orValue([]).exists(source,
          source.?secret.?name.orValue('') == params.metadata.name)) ||
      (%(spec)s.containers + %(spec)s.?initContainers.orValue([])).exists(container,
        container.?env.orValue([]).exists(variable,
          variable.?valueFrom.?secretKeyRef.?name.orValue('') == params.metadata.name) ||
        container.?envFrom.orValue([]).exists(source,
          source.?secretRef.?name.orValue('') == params.metadata.name))"""


HEADER = """\
# Keeps new tokens that never expire out of the cluster. %(stage)s
#
#   apply   kubectl satoken migrate --guard=%(words)s | kubectl apply -f -
#   next    %(next)s
#   exempt  kubectl label namespace NAMESPACE %(label)s=%(value)s
#   remove  kubectl delete %(kinds)s %(policies)s
#
# Needs Kubernetes 1.30 or later. What is there already goes on to work.
"""
WARNING = "First stage: warns, and writes to the audit log."
DENYING = "Second stage: refuses."
KINDS = "validatingadmissionpolicies,validatingadmissionpolicybindings"

WARN, DENY, WITH_PODS = "warn", "deny", "pods"


def manifests(mode: str = WARN) -> str:
    """The policies and their bindings as YAML for ``kubectl apply -f -``, with comments.

    ``mode`` is what ``--guard`` says: ``warn`` (they only warn, and write to the audit log) or
    ``deny``, and ``pods`` for the policy about pods and workloads that take a legacy token, by
    commas. Raises UsageError.
    """
    words = mode.split(",")
    for word in words:
        if word not in (WARN, DENY, WITH_PODS):
            raise UsageError(
                f'invalid argument "{word}" for "--guard" flag: must be warn, deny or pods'
            )
    if WARN in words and DENY in words:
        raise UsageError('invalid argument for "--guard" flag: warn and deny exclude each other')
    deny, pods = DENY in words, WITH_PODS in words
    policies = POLICIES if pods else POLICIES[:1]
    also = f",{WITH_PODS}" if pods else ""
    denying = f"kubectl satoken migrate --guard={DENY}{also} | kubectl apply -f -"
    common = {"label": EXEMPT_LABEL, "value": EXEMPT, "way_out": WAY_OUT}
    text = HEADER % {
        **common,
        "stage": DENYING if deny else WARNING,
        "words": f"{DENY if deny else WARN}{also}",
        "next": "look at what was refused, and exempt what must stay" if deny else denying,
        "kinds": KINDS,
        "policies": " ".join(policies),
    }
    for policy in policies:
        fields = {
            **common,
            "policy": policy,
            "actions": f"{'Deny' if deny else 'Warn'}, Audit",
            "spec": SPEC % {"root": "object"},
            "old": SPEC % {"root": "oldObject"},
            "takes": TAKES % {"spec": "variables.spec"},
            "took": TAKES % {"spec": "variables.old"},
        }
        text += (PODS if policy == PODS_POLICY else SECRETS) % fields
        text += BINDING % fields + (PARAMETERS if policy == PODS_POLICY else "")
    return text
