"""Manifests with projected tokens in the place of legacy ones: what changes, and what stays.

tests/live/test_rewrite.py has what an API server makes of them.
"""

import io
import json
import os
import stat
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubectl_satoken import errors
from kubectl_satoken.convert import TokenSecret, projections_for
from kubectl_satoken.env import Env
from kubectl_satoken.rewrite import Rewriting, as_object, diff, rewrite, show, write
from kubectl_satoken.yaml_edit import NotEditable, edited, indented_dumper
from tests.conftest import ROOT
from tests.test_fuzz import WRONG, paths

SCHEMA = json.loads((ROOT / "docs" / "rewriting.schema.json").read_text())

SECRET = """\
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: web-token
  annotations: {kubernetes.io/service-account.name: web}
"""

# Nine lists of nine aliases each: a billion of parts, were they ever written out.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{upper}: &{upper} [{', '.join([f'*{lower}'] * 9)}]\n"
    for upper, lower in zip("bcdefghi", "abcdefgh", strict=True)
)

# As people write it: comments, quotes, an order of their own.
DEPLOYMENT = """\
# The shop's front end.
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: "shop"}   # in the shop

spec:
  replicas:    2
  template:
    spec:
      serviceAccountName: web
      containers:
      # it listens on 8080
      - image: 'web:1'
        name: app
        volumeMounts:
        - {mountPath: /token, name: t}   # where it looks
        - {mountPath: /data, name: data}

      volumes:
      # what it keeps
      - name: data
        emptyDir: {}
      # what it is
      - name: t   # as told
        secret:
          secretName: web-token
          defaultMode: 0400
      # nothing else
"""

REWRITTEN = DEPLOYMENT.replace(
    """\
        secret:
          secretName: web-token
          defaultMode: 0400
""",
    """\
        projected:
          defaultMode: 256
          sources:
          - serviceAccountToken:
              expirationSeconds: 3607
              path: token
          - configMap:
              name: kube-root-ca.crt
              items:
              - key: ca.crt
                path: ca.crt
          - downwardAPI:
              items:
              - path: namespace
                fieldRef:
                  apiVersion: v1
                  fieldPath: metadata.namespace
""",
)

WEB_TOKEN = {("shop", "web-token"): TokenSecret("web-token", "web")}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tests name their files as somebody does who is in the folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given_files(**files: str) -> None:
    """Writes files, each named by its first part: ``web="…"`` is web.yaml."""
    for name, text in files.items():
        Path(f"{name}.yaml").write_bytes(text.encode())


def rewritten(
    *paths: str,
    secrets: Mapping[tuple[str, str], TokenSecret] = WEB_TOKEN,
    accounts: Mapping[tuple[str, str], Any] | None = None,
    stdin: str = "",
    **options: bool,
) -> Rewriting:
    env = Env(io.StringIO(stdin))
    return rewrite(
        paths or (".",),
        env,
        namespace="shop",
        secrets=secrets,
        accounts=accounts or {},
        **options,
    )


def after(result: Rewriting, path: str = "./web.yaml") -> str:
    """The text of a file as it would be written."""
    return {file.path: file.after for file in result.files}[path]


def left(result: Rewriting) -> list[tuple[str, str]]:
    """What was left: where, and why."""
    return [(str(one.place), one.why) for one in result.left]


# --- only what must change does -------------------------------------------------------------------


def test_nothing_but_the_volume_changes() -> None:
    given_files(web=DEPLOYMENT)
    result = rewritten()
    assert after(result) == REWRITTEN
    assert left(result) == []
    [done] = result.done
    assert str(done.place) == "./web.yaml:9: deployment/web"
    assert done.reasons == ("volume t: a projected token in the place of secret web-token",)


def test_other_documents_stay_as_they_are_to_the_byte() -> None:
    before = "# head \n%YAML 1.1\n---\na: [1,\n  2]   \n...\n---  # odd\nb: &x 'y'\nc: *x\n\n---\n"
    behind = "---\n{  }\n--- |\n  text\n\n# tail"
    given_files(web=before + DEPLOYMENT + behind)
    assert after(rewritten()) == before + REWRITTEN + behind


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace("what it is", "was es ist: \u00e4\u4e16\U0001f511"),
        lambda text: text.replace("      # nothing else\n", "").removesuffix("\n"),
    ],
    ids=["crlf", "comment at the end", "beyond ascii", "no line break at the end"],
)
def test_line_ends_and_letters_stay(change: Any) -> None:
    given_files(web=change(DEPLOYMENT))
    assert after(rewritten()).encode() == change(REWRITTEN).encode()


def test_indentation_quotes_and_json_are_those_of_the_text() -> None:
    deep = yaml.dump(yaml.safe_load(DEPLOYMENT), Dumper=indented_dumper(), sort_keys=False)
    given_files(
        deep=deep,
        flow=yaml.dump(yaml.safe_load(DEPLOYMENT), default_flow_style=True, width=10**6),
        json=json.dumps(yaml.safe_load(DEPLOYMENT), indent=4),
        line=json.dumps(yaml.safe_load(DEPLOYMENT)),
    )
    result = rewritten()
    wanted = yaml.safe_load(REWRITTEN)
    # what a program wrote in one style is again in that style
    assert after(result, "./deep.yaml") == yaml.dump(
        {**wanted}, Dumper=indented_dumper(), sort_keys=False
    )
    assert after(result, "./json.yaml") == json.dumps(wanted, indent=4)
    assert after(result, "./line.yaml") == json.dumps(wanted)
    assert after(result, "./flow.yaml").count("\n") == 1
    assert yaml.safe_load(after(result, "./flow.yaml")) == wanted


def test_what_the_api_server_mounts_by_itself_is_taken_out() -> None:
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    text = DEPLOYMENT.replace("/token, name: t}", f"{place}, name: t}}")
    text = text.replace("          defaultMode: 0400\n", "")
    account = "kind: ServiceAccount\napiVersion: v1\nmetadata: {name: web}\n"
    given_files(web=text, account=account)
    lines = text.splitlines(keepends=True)
    gone = (place, "name: t   # as told", "        secret:", "secretName")
    kept = [line for line in lines if not any(word in line for word in gone)]
    assert after(rewritten()) == "".join(kept)
    # nor is it known otherwise that the account lets it
    given_files(account="")
    assert "projected" in after(rewritten())
    assert after(rewritten(accounts={("shop", "web"): {}})) == "".join(kept)


def test_lists_are_opened() -> None:
    items = "".join(f"  {line}\n" for line in REWRITTEN.splitlines())
    whole = f"apiVersion: v1\nkind: List\nitems:\n- # one\n{items}"
    items = "".join(f"  {line}\n" for line in DEPLOYMENT.splitlines())
    given_files(web=f"apiVersion: v1\nkind: List\nitems:\n- # one\n{items}")
    assert after(rewritten()) == whole


@pytest.mark.parametrize("kind", ["Pod", "Job", "CronJob", "StatefulSet", "Rollout"])
def test_every_kind_with_a_template_is_rewritten(kind: str) -> None:
    spec = yaml.safe_load(DEPLOYMENT)["spec"]["template"]["spec"]
    where = {
        "Pod": {"spec": spec},
        "CronJob": {"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}},
    }.get(kind, {"spec": {"template": {"spec": spec}}})
    group = "argoproj.io/v1alpha1" if kind == "Rollout" else "v1"
    item = {"apiVersion": group, "kind": kind, "metadata": {"name": "web"}, **where}
    given_files(web=yaml.safe_dump(item))
    result = rewritten()
    assert "serviceAccountToken" in after(result)
    assert left(result) == []
    [done] = result.done
    assert bool(done.next) == (kind in ("Pod", "Job"))


def test_accounts_do_not_name_a_token_that_nothing_uses_any_more() -> None:
    account = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
secrets:
- name: web-token
- name: login  # of the registry
imagePullSecrets: [{name: web-token}, {name: login}]
"""
    wanted = account.replace("- name: web-token\n", "").replace("{name: web-token}, ", "")
    given_files(account=account, web=DEPLOYMENT)
    result = rewritten()
    assert after(result, "./account.yaml") == wanted
    assert left(result) == []
    assert result.done[0].reasons == (
        "takes web-token out of secrets",
        "takes web-token out of imagePullSecrets",
    )
    # and where nothing is left there is no empty list
    given_files(account=account.replace("- name: login  # of the registry\n", ""))
    assert after(rewritten(), "./account.yaml") == wanted.replace(
        "secrets:\n- name: login  # of the registry\n", ""
    )


@pytest.mark.parametrize("why", ["stays listed until", "stays listed while", "only what is listed"])
def test_accounts_go_on_to_name_a_token_where_that_is_needed(why: str) -> None:
    account = "apiVersion: v1\nkind: ServiceAccount\nsecrets: [{name: web-token}]\n"
    metadata: dict[str, Any] = {"name": "web"}
    web = DEPLOYMENT
    if why == "only what is listed":
        metadata["annotations"] = {"kubernetes.io/enforce-mountable-secrets": "true"}
    if why == "stays listed while":
        web = web.replace("image: 'web:1'", "envFrom: [{secretRef: {name: web-token}}]")
    given_files(account=f"{account}metadata: {json.dumps(metadata)}\n", web=web)
    result = rewritten(unlist=why != "stays listed until")
    assert [file.path for file in result.files] == ["./web.yaml"]
    told = [where for where, reason in left(result) if why in reason]
    assert told == ["./account.yaml:3: serviceaccount/web"]


# --- what is not rewritten is told ----------------------------------------------------------------


def test_a_use_that_needs_a_person_is_told_with_its_line() -> None:
    variable = "env: [{name: T, valueFrom: {secretKeyRef: {name: web-token, key: token}}}]"
    given_files(web=DEPLOYMENT.replace("image: 'web:1'", variable))
    result = rewritten()
    [(where, why)] = left(result)
    assert where == "./web.yaml:13: deployment/web"
    assert why.startswith("env T of app: ")
    assert result.left[0].todo
    assert "projected" in after(result)


def test_the_token_secret_itself_is_told() -> None:
    given_files(all=f"{SECRET}---\n{DEPLOYMENT}")
    result = rewritten(secrets={})
    assert left(result) == [("./all.yaml:1: secret/web-token", "it is the token Secret itself")]
    assert "kubectl satoken migrate secret/web-token -n shop" in result.left[0].todo
    assert after(result, "./all.yaml") == f"{SECRET}---\n{REWRITTEN}"


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        (
            "a: 1\n---\nmetadata:\n  name: {{ .Release.Name }}\n",
            ":4",
            "a template, which is no YAML yet",
        ),
        ("a: 1\n---\nb: [\n", ":4", "not YAML"),
        ("{% if x %}\n", ":1", "not YAML"),
        (f"a: {'[' * 300}{']' * 300}\n", "", "nested deeper"),
        ("a: \x00\n", "", "not YAML"),
        (BOMB, "", "aliases that make it too large"),
        ("a: &a [*a]\n", "", "an alias of what it is in"),
        ("existingSecret: web-token\n", ":1: existingSecret", "names web-token, perhaps"),
        ("a:\n- b: {c: web-token}\n", ":2: a[0].b.c", "names web-token, perhaps"),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: x},\n"
            'data: {k: "users:\\n- secretName: web-token\\n"}}\n',
            ":2: data.k",
            "names web-token, perhaps",
        ),
        (
            "{apiVersion: x/v1, kind: Thing, metadata: {name: x}, spec: {tokenSecret: web-token}}",
            ":1: spec.tokenSecret",
            "names web-token, perhaps",
        ),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: web-token}}",
            ":1",
            "spec.containers must be a list",
        ),
        (
            "{apiVersion: x/v1, kind: Thing, metadata: {name: x}, spec: {pods: [{containers: "
            "[{name: a, image: a}], volumes: [{name: t, secret: {secretName: web-token}}]}]}}",
            ":1: thing/x",
            "volume t: a custom resource has it in a place of its own",
        ),
    ],
)
def test_what_cannot_be_rewritten_is_told(text: str, where: str, why: str) -> None:
    given_files(other=text, web=DEPLOYMENT)
    result = rewritten()
    [(found, reason)] = left(result)
    assert found.startswith(f"./other.yaml{where}")
    assert why in reason
    assert result.left[0].todo
    # and the others are rewritten all the same
    assert after(result) == REWRITTEN


@pytest.mark.parametrize(
    "head", ["# Code generated by jsonnet. DO NOT EDIT.\n", "---\n# Source: web/templates/x.yaml\n"]
)
def test_what_is_generated_is_left_to_its_source(head: str) -> None:
    given_files(web=f"{head}{DEPLOYMENT}")
    result = rewritten()
    assert result.files == ()
    [(where, why)] = left(result)
    assert where.endswith("deployment/web")
    assert why == "it is generated, by its first lines"


def test_anchors_are_not_changed_in_one_place_for_another() -> None:
    shared = DEPLOYMENT.replace("name: t   # as told", "&t\n        name: t")
    given_files(web=f"{shared}spare: {{same: *t}}\n")
    result = rewritten()
    assert result.files == ()
    [(where, why), *_] = [one for one in left(result) if "changed in place" in one[1]]
    assert where == "./web.yaml:9: deployment/web"
    assert why.endswith("anchors or another unusual style of YAML")


def test_merged_maps_are_left_in_peace() -> None:
    shared = "x: &x {image: 'web:1'}\n"
    text = DEPLOYMENT.replace("- image: 'web:1'\n", "- <<: *x\n").replace("# The", f"{shared}# The")
    given_files(web=text)
    assert after(rewritten()) == REWRITTEN.replace("- image: 'web:1'\n", "- <<: *x\n").replace(
        "# The", f"{shared}# The"
    )


def test_a_secret_of_another_namespace_or_type_is_none() -> None:
    given_files(web=DEPLOYMENT)
    elsewhere = {("other", "web-token"): TokenSecret("web-token", "web")}
    assert rewritten(secrets=elsewhere).files == ()
    given_files(secret=SECRET.replace("kubernetes.io/service-account-token", "Opaque"))
    assert rewritten(secrets={}) == Rewriting((), (), ())


# --- diff, and files ------------------------------------------------------------------------------


def test_the_diff_is_taken_by_patch_and_shows_no_other_document(folder: Path) -> None:
    held = SECRET + "data: {token: ZXlKaGJHY2lPaUpTVXpJMU5pSjk=}\n"
    text = "---\n".join((held, DEPLOYMENT, "a: b\n", DEPLOYMENT.removesuffix("\n")))
    given_files(web=text)
    result = rewritten()
    lines = "".join(diff(result))
    assert "ZXlK" not in lines
    assert "kind: Secret" not in lines
    done = subprocess.run(
        ["git", "apply", "-p0"],
        input=lines,
        text=True,
        cwd=folder,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert Path("web.yaml").read_text() == after(result)


def test_files_are_written_as_a_whole_with_their_mode(folder: Path) -> None:
    given_files(web=DEPLOYMENT, other="a: b\n")
    os.chmod("web.yaml", 0o640)
    os.symlink("web.yaml", "link.yaml")
    before = os.stat("other.yaml")
    write(rewritten("link.yaml"), Env())
    assert Path("web.yaml").read_text() == REWRITTEN
    assert stat.S_IMODE(os.stat("web.yaml").st_mode) == 0o640
    assert os.path.islink("link.yaml")
    assert os.stat("other.yaml").st_mtime_ns == before.st_mtime_ns
    assert sorted(os.listdir(folder)) == ["link.yaml", "other.yaml", "web.yaml"]
    # a second time there is nothing to do
    assert rewritten().files == ()


def test_a_file_that_somebody_changes_meanwhile_is_not_overwritten() -> None:
    given_files(web=DEPLOYMENT)
    result = rewritten()
    given_files(web=f"{DEPLOYMENT}# mine\n")
    with pytest.raises(errors.SatokenError, match=r"^\./web\.yaml was changed in the meantime$"):
        write(result, Env())
    assert Path("web.yaml").read_text() == f"{DEPLOYMENT}# mine\n"


def test_a_file_that_is_named_twice_is_written_once() -> None:
    given_files(web=DEPLOYMENT)
    result = rewritten("web.yaml", ".", "./web.yaml")
    write(result, Env())
    assert Path("web.yaml").read_text() == REWRITTEN
    assert len(result.done) == 1


@pytest.mark.parametrize("head", ["", "---\n# Source: web/templates/x.yaml\n"])
def test_standard_input_goes_to_standard_output(head: str) -> None:
    # as Helm has it done behind its templates (--post-renderer)
    output = io.StringIO()
    write(rewritten("-", stdin=f"{head}{DEPLOYMENT}"), Env(stdout=output))
    assert output.getvalue() == head + REWRITTEN
    for other in ("a: b\n", "{{ no: yaml\n"):
        output = io.StringIO()
        write(rewritten("-", stdin=other), Env(stdout=output))
        assert output.getvalue() == other


@pytest.mark.parametrize("path", ["missing.yaml", "empty", "bytes.yaml"])
def test_a_path_that_cannot_be_read_is_one_line(path: str) -> None:
    os.mkdir("empty")
    Path("bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(errors.ManifestError) as raised:
        rewritten(path)
    assert path in raised.value.message


def test_programs_get_the_same() -> None:
    given_files(web=DEPLOYMENT, values="existingSecret: web-token\n")
    found = as_object(rewritten())
    jsonschema.validate(json.loads(json.dumps(found)), SCHEMA)
    assert found["files"] == ["./web.yaml"]
    assert found["done"] == [
        {
            "file": "./web.yaml",
            "line": 9,
            "object": "deployment/web",
            "changes": ["volume t: a projected token in the place of secret web-token"],
        }
    ]
    assert [one["file"] for one in found["left"]] == ["./values.yaml"]


# --- for any manifest -----------------------------------------------------------------------------

FILES = st.lists(
    st.sampled_from(["token", "ca.crt", "namespace"]), min_size=1, max_size=3, unique=True
)


@st.composite
def volumes(draw: st.DrawFn) -> dict[str, Any]:
    """A volume, many of them of the token Secret, without its name."""
    source: dict[str, Any] = {"secretName": "web-token"}
    if draw(st.booleans()):
        source["items"] = [{"key": key, "path": f"x/{key}"} for key in draw(FILES)]
    if draw(st.booleans()):
        source["defaultMode"] = draw(st.sampled_from([256, 420, 0o644]))
    named = {"name": source["secretName"], **({"items": i} if (i := source.get("items")) else {})}
    return draw(
        st.sampled_from(
            [
                {"secret": source},
                {"projected": {"sources": [{"secret": named}, {"configMap": {"name": "c"}}]}},
                {"emptyDir": {}},
                {"secret": {"secretName": "another"}},
            ]
        )
    )


@st.composite
def deployments(draw: st.DrawFn) -> dict[str, Any]:
    """A workload that uses the token Secret in some ways, and other things as well."""
    found = draw(st.lists(volumes(), max_size=4))
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    paths = [place, "/a", "/b", "/c"]
    mounts = [
        {"name": f"v{index}", "mountPath": paths[index]}
        for index in range(len(found))
        if draw(st.booleans())
    ]
    variables = [
        {"name": f"E{index}", **value}
        for index, value in enumerate(
            draw(
                st.lists(
                    st.sampled_from(
                        [
                            {"value": "x: [y"},
                            *(
                                {"valueFrom": {"secretKeyRef": {"name": "web-token", "key": key}}}
                                for key in ("token", "namespace", "ca.crt")
                            ),
                        ]
                    ),
                    max_size=4,
                )
            )
        )
    ]
    container: dict[str, Any] = {"name": "app", "image": "a", "args": ["- x", "#y", "é"]}
    if mounts:
        container["volumeMounts"] = mounts
    if variables:
        container["env"] = variables
    spec: dict[str, Any] = {
        "serviceAccountName": draw(st.sampled_from(["web", "other"])),
        "containers": [container, {"name": "two", "image": "b"}],
    }
    if found:
        spec["volumes"] = [
            draw(st.sampled_from([{"name": f"v{index}", **one}, {**one, "name": f"v{index}"}]))
            for index, one in enumerate(found)
        ]
    if draw(st.booleans()):
        spec["imagePullSecrets"] = [{"name": "web-token"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": spec}},
    }


def commented(text: str) -> str:
    """YAML in block style with a comment above and behind each line."""
    lines = []
    for number, line in enumerate(text.splitlines()):
        margin = " " * (len(line) - len(line.lstrip(" ")))
        lines += [f"{margin}# above {number}", f"{line}  # behind {number}"]
    return "\n".join(lines) + "\n"


STYLES = {
    "block": lambda item: yaml.safe_dump(item, sort_keys=False, width=10**6),
    "indented": lambda item: yaml.dump(
        item, Dumper=indented_dumper(), sort_keys=False, width=10**6
    ),
    "commented": lambda item: commented(yaml.safe_dump(item, sort_keys=False, width=10**6)),
    "crlf": lambda item: yaml.safe_dump(item, width=10**6).replace("\n", "\r\n"),
    "mixed": lambda item: yaml.safe_dump(item, default_flow_style=None, width=10**6),
    "flow": lambda item: yaml.safe_dump(item, default_flow_style=True, width=10**6),
    "wrapped flow": lambda item: yaml.safe_dump(item, default_flow_style=True, width=40),
    "json": json.dumps,
    "indented json": lambda item: json.dumps(item, indent=2),
}


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=25, deadline=None)
@given(item=deployments(), automount=st.booleans())
def test_a_manifest_says_what_the_conversion_says(
    style: str, item: dict[str, Any], automount: bool
) -> None:
    before = deepcopy(item)
    spec = item["spec"]["template"]["spec"]
    account: dict[str, Any] | None = {} if automount else None
    conversion = projections_for(spec, WEB_TOKEN.values(), account)
    wanted = {**item, "spec": {"template": {"spec": conversion.spec}}}
    given_files(web=STYLES[style](item))
    accounts = {("shop", name): account for name in ("web", "other")} if automount else {}
    result = rewritten("web.yaml", accounts=accounts)
    text = result.files[0].after if result.files else Path("web.yaml").read_text()
    assert yaml.safe_load(text) == wanted
    assert len(result.left) == len(conversion.obstacles)
    assert item == before
    if style == "commented":
        # what is said of lines that stay, stays with them, in its order
        kept = [line for line in Path("web.yaml").read_text().splitlines() if line in text]
        behind = [line for line in text.splitlines() if "# behind" in line]
        assert [line for line in kept if line in behind] == [one for one in behind if one in kept]
        assert text.startswith("# above 0\napiVersion: apps/v1  # behind 0\n")


EVERY_USE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      serviceAccountName: web
      containers:
      - name: a
        image: a
        env: [{name: E, valueFrom: {secretKeyRef: {name: web-token, key: namespace}}}]
        envFrom: [{secretRef: {name: web-token}}]
        volumeMounts: [{name: t, mountPath: /t}, {name: p, mountPath: /p, subPath: x}]
      imagePullSecrets: [{name: web-token}]
      volumes:
      - {name: t, secret: {secretName: web-token}}
      - name: p
        projected:
          defaultMode: 256
          sources:
          - secret: {name: web-token, items: [{key: token, path: x/t, mode: 256}]}
          - configMap: {name: c, items: [{key: a, path: b}]}
      - {name: c, csi: {driver: d, nodePublishSecretRef: {name: web-token}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, annotations: {kubernetes.io/enforce-mountable-secrets: "true"}}
secrets: [{name: web-token}]
imagePullSecrets: [{name: web-token}]
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: p}
  spec:
    serviceAccountName: web
    containers: [{name: a, image: a}]
    volumes: [{name: t, secret: {secretName: web-token}}]
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: r}
spec:
  tokenSecret: web-token
  pods:
  - containers: [{name: z, env: [{name: q, valueFrom: {secretKeyRef: {name: web-token}}}]}]
"""
OBJECTS = [*yaml.safe_load_all(EVERY_USE), yaml.safe_load(f"{SECRET}data: {{token: x}}\n")]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_field_of_a_wrong_type_is_told_or_left_in_peace(data: st.DataObject) -> None:
    items = deepcopy(OBJECTS)
    item = data.draw(st.sampled_from(items))
    touched = item["kind"]
    *above, last = data.draw(st.sampled_from(list(paths(item))))
    place: Any = item
    for key in above:
        place = place[key]
    place[last] = data.draw(WRONG)
    dump = data.draw(st.sampled_from([yaml.safe_dump, json.dumps]))
    result = rewritten("-", stdin="\n---\n".join(dump(one) for one in items))
    as_object(result)
    show(result, Env(io.StringIO(), io.StringIO(), io.StringIO()), written=False)
    # those that are right are rewritten all the same
    pods = [one for one in result.done if one.place.resource == "pod/p"]
    assert pods or touched in ("List", "Secret")


@given(
    st.dictionaries(st.text("ab", min_size=1), st.integers() | st.lists(st.integers())),
    st.dictionaries(st.text("ab", min_size=1), st.integers() | st.lists(st.integers())),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_an_edit_is_right_or_there_is_none(
    old: dict[str, Any], new: dict[str, Any], flow: bool
) -> None:
    text = yaml.safe_dump(old, default_flow_style=flow)
    with suppress(NotEditable):
        assert yaml.safe_load(edited(text, new)) == new
