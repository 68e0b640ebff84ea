"""The token is fine and allows nothing."""

from tests.scenarios import AS_WEB, POD_IS_THERE, Scenario, service_account, template

SCENARIOS = [
    Scenario(
        "rbac-no-binding",
        "SAT501",
        "pod",
        f"{service_account()}---{template(AS_WEB)}",
        wait=POD_IS_THERE,
        asks="list pods",
    ),
]
