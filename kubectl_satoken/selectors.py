"""Label selectors, as NetworkPolicies, webhooks, policies and ClusterRoles have them."""

from .world import Object


def selects(selector: Object, labels: Object) -> bool:
    """Whether a label selector matches; an empty one matches everything.

    The source is Requirement.Matches in apimachinery/pkg/labels: NotIn holds where there is no such
    label. An operator that is none holds nowhere, since the API server would refuse it.
    """
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(holds(term, labels) for term in selector.get("matchExpressions") or [])


def holds(term: Object, labels: Object) -> bool:
    """Whether a term of a selector's ``matchExpressions`` holds for these labels."""
    key, values = str(term.get("key")), term.get("values") or []
    match term.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False
