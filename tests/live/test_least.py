"""What least.py grants is granted by the API server, and nothing else is."""

import json
import random
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pytest
import yaml

from kubectl_satoken.cluster import Api
from kubectl_satoken.denied import needs, read
from kubectl_satoken.env import Env
from kubectl_satoken.least import manifests, patch, text_of
from kubectl_satoken.live import ClusterWorld
from kubectl_satoken.question import in_words
from kubectl_satoken.rbac import Attributes, Question, allows, user_of
from tests.cluster import Cluster
from tests.live.reviews import reviewed
from tests.scenarios import Stage
from tests.test_least import ODD, UNIVERSE, q, single

NUMBERS = count()
OTHER = "default"
VERBS = ("get", "list", "watch", "create", "update", "delete", "deletecollection", "use", "*")


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(cluster, tmp_path_factory.mktemp("least"))
    stage.open()
    yield stage
    stage.forget_roles()
    stage.close()


@pytest.fixture(scope="module")
def api(stage: Stage) -> Api:
    return stage.api()


def here(question: Question, stage: Stage) -> Question:
    """A question about shop or dev, in the namespaces of this cluster."""
    where = {"shop": stage.namespace, "dev": OTHER}.get(question.namespace, question.namespace)
    return question._replace(namespace=where)


def neighbours(question: Question) -> Iterator[Question]:
    """The questions that differ in one attribute."""
    namespace, asked = question
    for verb in VERBS:
        yield question._replace(asked=asked._replace(verb=verb))
    if asked.path:
        for path in (f"{asked.path}/more", f"{asked.path}x", asked.path[:-1] or "/x", "/x", "*"):
            yield question._replace(asked=asked._replace(path=path))
        return
    for where in ("shop", "dev", ""):
        yield question._replace(namespace=where)
    for field, words in (
        ("group", ("", "apps", "example.org", "*")),
        ("resource", ("pods", "deployments", "secrets", "*")),
        ("subresource", ("", "log", "exec", "scale", "*")),
        ("name", ("", "a", "b")),
    ):
        for word in words:
            yield question._replace(asked=asked._replace(**{field: word}))


def answers(
    api: Api, stage: Stage, account: str, questions: Iterable[Question]
) -> dict[Question, bool]:
    """What the API server says to each."""
    return {
        question: reviewed(api, stage.namespace, account, here(question, stage))["allowed"]
        for question in questions
    }


def wanted(asked: Iterable[Question], question: Question) -> bool:
    """Whether one of the questions, word by word as a rule, says yes to another."""
    return any(
        one.namespace in ("", question.namespace)
        and not (one.namespace and question.asked.path)
        and allows([single(one)], question.asked)
        for one in asked
    )


def granted(
    api: Api,
    stage: Stage,
    account: str,
    asked: list[Question],
    before: dict[Question, bool],
) -> None:
    """Waits until all that was asked is allowed, and sees that no other answer changed."""
    end = time.monotonic() + 15
    while not all(answers(api, stage, account, asked).values()):
        assert time.monotonic() < end, [in_words(one) for one in asked]
        time.sleep(0.05)
    after = answers(api, stage, account, before)
    changed = {in_words(one) for one in after if after[one] != before[one]}
    meant = {in_words(one) for one in before if wanted(asked, one) and not before[one]}
    assert changed == meant


def around(asked: Iterable[Question]) -> list[Question]:
    return list(
        dict.fromkeys([*asked, *(near for question in asked for near in neighbours(question))])
    )


CASES = {
    "one": [q("shop", "list", "pods")],
    "group": [q("shop", "update", "deployments", group="apps")],
    "subresource": [q("shop", "get", "pods/log")],
    "subresource-named": [q("shop", "create", "pods/exec", "a")],
    "subresource-group": [q("shop", "patch", "deployments/scale", group="apps")],
    "named": [q("shop", "get", "configmaps", "a")],
    "listed-by-name": [q("shop", "watch", "configmaps", "a")],
    "create-named": [q("shop", "create", "configmaps", "a")],
    "custom": [q("shop", "delete", "widgets", group="example.org")],
    "custom-status": [q("shop", "update", "widgets/status", "a", "example.org")],
    "other-namespace": [q("dev", "list", "secrets")],
    "cluster-scoped": [q("", "list", "nodes")],
    "cluster-scoped-named": [q("", "get", "nodes", "a")],
    "cluster-scoped-sub": [q("", "get", "nodes/proxy")],
    "all-namespaces": [q("", "watch", "pods")],
    "url": [q("", "get", "/metrics")],
    "url-deep": [q("", "post", "/logs/a/b")],
    "url-wildcard": [q("", "get", "/debug/*")],
    "odd-verb": [q("shop", "impersonate-on:user-info:list", "pods")],
    "wildcard-verb": [q("shop", "*", "pods")],
    "wildcard-resource": [q("shop", "get", "*")],
    "wildcard-below": [q("shop", "get", "*/log")],
    "wildcard-group": [q("shop", "get", "pods", group="*")],
    "verbs": [q("shop", verb, "pods") for verb in ("list", "watch", "get")],
    "crossed": [
        q("shop", "get", "pods"),
        q("shop", "list", "secrets"),
        q("shop", "get", "deployments", group="apps"),
        q("shop", "list", "pods", group="example.org"),
    ],
    "crossed-names": [
        q("shop", "get", "configmaps", "a"),
        q("shop", "update", "configmaps", "b"),
        q("shop", "get", "secrets", "b"),
    ],
    "everywhere-and-here": [
        q("shop", "get", "pods"),
        q("dev", "list", "pods"),
        q("", "watch", "pods"),
        q("", "get", "/metrics"),
    ],
    "names-like-numbers": [q("shop", "get", "configmaps", name) for name in ODD],
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_asked_becomes_allowed_and_nothing_else(name: str, stage: Stage, api: Api) -> None:
    account, asked = f"least{next(NUMBERS)}", CASES[name]
    before = answers(api, stage, account, around(asked))
    assert not any(before[question] for question in asked)
    made = manifests((stage.namespace, account), [here(one, stage) for one in asked])
    stage.kubectl("apply", "-f", "-", stdin=text_of(made))
    granted(api, stage, account, asked, before)
    # the same again changes nothing, and is given the same names
    world = ClusterWorld(api, Env(environ=stage.environ))
    again = manifests((stage.namespace, account), [here(one, stage) for one in asked], world)
    assert again == made


def test_generated_questions_become_allowed_and_nothing_else(stage: Stage, api: Api) -> None:
    chance = random.Random(5)
    sets = {
        f"many{next(NUMBERS)}": chance.sample(UNIVERSE, chance.randint(1, 5)) for _ in range(100)
    }
    watched = {
        account: [*asked, *chance.sample(around(asked), 12), *chance.sample(UNIVERSE, 12)]
        for account, asked in sets.items()
    }
    before = {account: answers(api, stage, account, some) for account, some in watched.items()}
    made = [
        one
        for account, asked in sets.items()
        for one in manifests(
            (stage.namespace, account), [here(question, stage) for question in asked]
        )
    ]
    stage.kubectl("apply", "-f", "-", stdin=text_of(made))
    for account, asked in sets.items():
        granted(api, stage, account, asked, before[account])


# --- a change to a role


def test_generated_changes_of_roles_allow_what_is_asked_and_nothing_else(
    stage: Stage, api: Api
) -> None:
    chance = random.Random(7)
    scopes = [
        [one for one in UNIVERSE if one.namespace == "shop"],
        [one for one in UNIVERSE if not one.namespace],
    ]
    shapes: set[str] = set()
    for number in range(40):
        account = f"patched{next(NUMBERS)}"
        some = scopes[number % 2]
        has, asked = chance.sample(some, 2), chance.sample(some, 2)
        # near what it has, so that there are rules to be extended
        verb = chance.choice(("get", "list", "create", "delete"))
        asked.append(has[0]._replace(asked=has[0].asked._replace(verb=verb)))
        if has[0].asked.name and verb == "create":
            asked.pop()
        who = (stage.namespace, account)
        made = manifests(who, [here(one, stage) for one in has])
        stage.kubectl("apply", "-f", "-", stdin=text_of(made))
        end = time.monotonic() + 15
        while not all(answers(api, stage, account, has).values()):
            assert time.monotonic() < end
            time.sleep(0.05)
        before = answers(
            api, stage, account, [*asked, *chance.sample(around(asked), 12), *around(has)[:12]]
        )
        world = ClusterWorld(api, Env(environ=stage.environ))
        fix = patch(world, who, [here(one, stage) for one in asked])
        if fix is None:
            assert all(before[one] for one in asked)
            continue
        (command,) = fix.commands
        shapes.update(shape for shape in ("/verbs/-", "/rules/-") if shape in command)
        stage.shell(command)
        granted(api, stage, account, asked, before)
    assert shapes == {"/verbs/-", "/rules/-"}


def test_a_role_that_was_changed_in_between_is_not_changed(stage: Stage, api: Api) -> None:
    who = (stage.namespace, "raced")
    asked = here(q("shop", "list", "pods"), stage)
    stage.kubectl("apply", "-f", "-", stdin=text_of(manifests(who, [asked], name="raced")))
    world = ClusterWorld(api, Env(environ=stage.environ))
    fix = patch(world, who, [asked._replace(asked=asked.asked._replace(verb="watch"))])
    assert fix is not None
    # the rule in that place is about all resources by now
    change = json.dumps([{"op": "replace", "path": "/rules/0/resources/0", "value": "*"}])
    stage.kubectl("-n", stage.namespace, "patch", "role", "raced", "--type=json", "-p", change)
    (command,) = fix.commands
    assert stage.shell(command, check=False).returncode != 0
    assert stage.get("role", "raced")["rules"][0]["verbs"] == ["list"]


def test_a_role_without_rules_can_be_changed(stage: Stage, api: Api) -> None:
    who = (stage.namespace, "empty")
    asked = q("shop", "list", "pods")
    made = manifests(who, [here(asked, stage)], name="empty")
    made[0]["rules"] = []
    stage.kubectl("apply", "-f", "-", stdin=text_of(made))
    before = answers(api, stage, "empty", around([asked]))
    fix = patch(ClusterWorld(api, Env(environ=stage.environ)), who, [here(asked, stage)])
    assert fix is not None
    stage.shell(fix.commands[0])
    granted(api, stage, "empty", [asked], before)


# --- out of a log

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.least.example.org}
spec:
  group: least.example.org
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""

THINGS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
---
apiVersion: v1
kind: Pod
metadata: {name: web-6d4-x2x}
spec: {containers: [{name: app, image: 'busybox:1'}]}
---
apiVersion: least.example.org/v1
kind: Widget
metadata: {name: w}
"""

# What the program does; -v=8 logs the bodies of the answers as klog writes them.
PROGRAM = (
    "kubectl -n $NS get pods",
    "kubectl -n $NS get pods -v=8",
    "kubectl -n $NS get configmap settings -v=8",
    'kubectl -n $NS patch configmap settings -p \'{"data":{"a":"b"}}\'',
    "kubectl -n $NS create configmap more --from-literal=a=b",
    "kubectl -n $NS logs web-6d4-x2x",
    "kubectl -n $NS exec web-6d4-x2x -- true",
    # asks whether it may patch it, and only then whether it may create it, by that name
    "echo '{apiVersion: v1, kind: ServiceAccount, metadata: {name: made}}' |"
    " kubectl -n $NS apply --server-side -f - -v=8",
    "kubectl -n $NS get widgets.least.example.org w",
    "kubectl -n $NS patch widgets.least.example.org w --subresource=status --type=merge "
    '-p \'{"status":{"a":1}}\'',
    "kubectl -n default get services",
    "kubectl get namespace $NS",
    "kubectl get nodes -v=8",
    "kubectl get deployments -A",
    "kubectl get --raw /metrics",
    "kubectl get --raw '/debug/pprof/cmdline?a=<b>&c'",
)


def test_what_a_program_is_refused_is_read_from_its_log_until_it_works(
    stage: Stage, api: Api
) -> None:
    stage.kubectl("apply", "-f", "-", stdin=CRD)
    stage.until("kubectl wait --for=condition=Established crd/widgets.least.example.org")
    stage.until("kubectl get widgets.least.example.org -A")
    stage.kubectl("-n", stage.namespace, "apply", "-f", "-", stdin=THINGS)
    token = stage.kubectl("-n", stage.namespace, "create", "token", "web").strip()
    config = yaml.safe_load(Path(stage.environ["KUBECONFIG"]).read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    path = Path(stage.environ["WORK"]) / "web.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)

    user = user_of(stage.namespace, "web")
    names = {stage.namespace: "shop", OTHER: "dev"}
    log: list[str] = []
    rounds = 0
    while True:
        rounds += 1
        assert rounds < 6, log[-20:]
        new: list[str] = []
        for line in PROGRAM:
            done = stage.shell(
                f"KUBECONFIG={path}; export KUBECONFIG; ( {line} ) 2>&1", check=False
            )
            refused = list(read(done.stdout.splitlines()))
            assert bool(refused) == ("orbidden" in done.stdout), done.stdout
            new += [text for text in done.stdout.splitlines() if "orbidden" in text]
        if not new:
            break
        log += new
        questions = needs(read(log), user).questions
        asked = [
            one._replace(namespace=one.namespace and names[one.namespace]) for one in questions
        ]
        before = answers(api, stage, "web", around(asked))
        made = manifests((stage.namespace, "web"), questions)
        stage.kubectl("apply", "-f", "-", stdin=text_of(made))
        granted(api, stage, "web", asked, before)
    assert rounds > 2  # kubectl logs asks for the pod first
    assert any(r"User \"system" in line for line in log)
    assert any('User "system' in line for line in log)
    assert {in_words(one).replace(stage.namespace, "NS") for one in questions} == {
        "list pods in namespace NS",
        "get pods in namespace NS",
        "get pods/log in namespace NS",
        "create pods/exec in namespace NS",
        "patch serviceaccounts made in namespace NS",
        "create serviceaccounts in namespace NS",
        "get configmaps settings in namespace NS",
        "patch configmaps settings in namespace NS",
        "create configmaps in namespace NS",
        "get widgets.least.example.org w in namespace NS",
        "get widgets.least.example.org/status w in namespace NS",
        "patch widgets.least.example.org/status w in namespace NS",
        "list services in namespace default",
        "get namespaces NS in namespace NS",
        "list nodes",
        "list deployments.apps",
        "get /metrics",
        "get /debug/pprof/cmdline",
    }
    for verb, what in (("list", "secrets"), ("delete", "pods"), ("get", "secrets")):
        question = Question(stage.namespace, Attributes(verb, "", what))
        assert not reviewed(api, stage.namespace, "web", question)["allowed"]
