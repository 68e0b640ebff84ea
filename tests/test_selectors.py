"""Label selectors."""

from kubectl_satoken.selectors import selects


def test_labels_are_selected() -> None:
    labels = {"app": "web", "tier": "front"}
    assert selects({}, labels)
    assert selects({"matchLabels": {"app": "web"}}, labels)
    assert not selects({"matchLabels": {"app": "web", "x": "y"}}, labels)
    for operator, key, values, expected in (
        ("In", "app", ["web", "db"], True),
        ("In", "app", ["db"], False),
        ("In", "none", ["db"], False),
        ("NotIn", "app", ["db"], True),
        ("NotIn", "app", ["web"], False),
        ("NotIn", "none", ["web"], True),
        ("Exists", "app", None, True),
        ("Exists", "none", None, False),
        ("DoesNotExist", "app", None, False),
        ("DoesNotExist", "none", None, True),
        ("exists", "app", None, False),  # which no API server would store
    ):
        term = {"key": key, "operator": operator, "values": values}
        assert selects({"matchExpressions": [term]}, labels) is expected, term
