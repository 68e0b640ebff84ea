"""Who has set a field, by what a stored object says of it."""

from kubectl_satoken.managed_fields import entries, writers

STORED = {
    "metadata": {
        "managedFields": [
            {"manager": "kubectl", "time": "2026-11-01T00:00:00Z", "fieldsV1": {"f:data": {}}},
            {
                "manager": "k3s",
                "time": "2026-11-02T00:00:00Z",
                "fieldsV1": {"f:data": {".": {}, "f:token": {}}},
            },
            {"time": "2026-11-03T00:00:00Z", "fieldsV1": {"f:immutable": {}}},
            {"manager": "odd"},
        ]
    }
}


def test_the_managers_of_a_field() -> None:
    assert list(writers(STORED, "f:data")) == ["kubectl", "k3s"]
    assert list(writers(STORED, "f:data", "f:token")) == ["k3s"]
    assert list(writers(STORED, "f:immutable")) == [""]
    assert list(writers(STORED, "f:data", "f:token", "f:deeper")) == []


def test_when_a_field_was_set() -> None:
    assert [one["time"] for one in entries(STORED, "f:data", "f:token")] == ["2026-11-02T00:00:00Z"]


def test_an_object_that_was_not_stored_has_none() -> None:
    assert list(entries({"metadata": {}}, "f:data")) == []
    assert list(entries({"metadata": {"managedFields": None}}, "f:data")) == []
