"""doctor --probe: looks into the running container, where the token really is.

A script runs in the container by ``kubectl exec``, or, where there is no shell, in an ephemeral
container that mounts the same volume. It prints facts, and of the token only the first two of its
three parts, which are claims and no secret: without its signature it is no token. The request to
the API server is made inside of the pod, by what is there (curl, python3, openssl), and the token
gets to it by a pipe or a file, not on a command line.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .admission import TOKEN_MOUNT_PATH
from .checks import Skipped
from .env import Env
from .errors import one_line
from .mounts import TokenFile, containers, default_mount, token_files
from .token import Malformed, decode_parts
from .verify import token_object
from .workloads import finished, is_live
from .world import Object, World

# Printed lines are key=value. `read` and `printf` are the shell's own, so no command line has the
# token; what is printed of it ends before the signature.
SCRIPT = r"""
f=$1; d=${f%/*}
echo "probe=satoken"
echo "host=${KUBERNETES_SERVICE_HOST-}"
echo "port=${KUBERNETES_SERVICE_PORT-}"
echo "uid=$(id -u 2>/dev/null)"
echo "groups=$(id -G 2>/dev/null)"
if [ ! -e "$f" ]; then echo "file=missing"; exit 0; fi
echo "listing=$(ls -lnL "$f" 2>/dev/null)"
if [ ! -r "$f" ]; then echo "file=unreadable"; exit 0; fi
if [ ! -s "$f" ]; then echo "file=empty"; exit 0; fi
echo "file=there"
[ -s "$d/ca.crt" ] && echo "ca=there"
[ -s "$d/namespace" ] && echo "namespace=$(cat "$d/namespace")"
h=; p=; s=
IFS=. read -r h p s < "$f"
[ -n "$s" ] && echo "header=$h" && echo "payload=$p"
[ -n "${KUBERNETES_SERVICE_HOST-}" ] || exit 0
c=$d/ca.crt; [ -s "$c" ] || c=CA_FILE
[ -s "$c" ] || { echo "trust=nobody"; exit 0; }
a=$KUBERNETES_SERVICE_HOST; case $a in (*:*) a="[$a]";; esac
a=$a:${KUBERNETES_SERVICE_PORT-443}
if command -v curl >/dev/null 2>&1; then
  echo "by=curl"
  out=$(printf 'header = "Authorization: Bearer %s.%s.%s"\n' "$h" "$p" "$s" |
    curl -sS -m 10 -K - --cacert "$c" -o /dev/null -w 'status=%{http_code}' \
      "https://$a/api" 2>&1)
elif command -v python3 >/dev/null 2>&1; then
  echo "by=python3"
  out=$(python3 - "$f" "$c" "https://$a/api" 2>&1 <<'EOF'
import ssl, sys, urllib.error, urllib.request
token, ca, url = sys.argv[1:]
request = urllib.request.Request(url)
request.add_header("Authorization", "Bearer " + open(token).read().strip())
try:
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        print("status=%d" % answer.status)
except urllib.error.HTTPError as error:
    print("status=%d" % error.code)
except Exception as error:
    print(error)
EOF
  )
elif command -v openssl >/dev/null 2>&1; then
  echo "by=openssl"
  t=; timeout 10 true 2>/dev/null && t="timeout 10"
  out=$({ printf 'GET /api HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n' "$a"
    printf 'Authorization: Bearer %s.%s.%s\r\n\r\n' "$h" "$p" "$s"; } |
    $t openssl s_client -quiet -verify_return_error -CAfile "$c" -connect "$a" 2>&1 |
    while IFS= read -r line; do
      case $line in
        (HTTP/1.*) line=${line#* }; echo "status=${line%% *}"; break;;
        (*error*|*refused*|*timed*) echo "$line";;
      esac
    done)
else
  exit 0
fi
n=${out##*status=}
[ "$n" = "$out" ] || echo "status=$n"
printf '%s\n' "${out%status=*}" | while IFS= read -r line; do
  [ -n "$line" ] && echo "error=$line"
done
""".replace("CA_FILE", f"{TOKEN_MOUNT_PATH}/ca.crt")

# What a container runtime says when there is no shell to run.
NO_SHELL = ("executable file not found", "no such file or directory", "not found in $PATH")


class Prober(NamedTuple):
    """How to reach the containers: kubectl, its flags, and the image for those without a shell.

    Without an image those are not looked into: a container would be left in the pod.
    """

    kubectl: str
    flags: Sequence[str]
    image: str
    env: Env
    seconds: float = 60


def probe(
    pod: Object, world: World, prober: Prober, skipped: list[Skipped], only: str = ""
) -> Iterator[Object]:
    """The token of each container of a pod that has one or should, as a Token object.

    ``only`` names the one that is meant. What could not be looked at is added to ``skipped``.
    """
    if not is_live(pod) or finished(pod):
        return
    running = running_containers(pod)
    files = chosen(token_files(pod))
    for container in containers(pod):
        name = container["name"]
        if only not in ("", name):
            continue
        file = next((one for one in files if one.container == name), None)
        mount = default_mount(container)
        if file is not None:
            path = file.path
        elif mount is not None:
            path = mount["mountPath"] + "/token"
        else:
            continue
        if name not in running:
            skipped.append(Skipped("", "probe", f"container {name}", "it does not run"))
            continue
        text, why = in_container(pod, name, path, world, prober)
        if why:
            skipped.append(Skipped("", "probe", f"container {name}", why))
            continue
        yield seen(pod, name, path, file, facts_of(text))


def chosen(files: list[TokenFile]) -> list[TokenFile]:
    """The token files, the API server's first: that is the one of a container that is probed."""
    return sorted(files, key=lambda file: (bool(file.audience), bool(file.secret)))


def running_containers(pod: Object) -> set[str]:
    """The containers that run, by name."""
    status = pod.get("status") or {}
    return {
        one.get("name", "")
        for field in ("initContainerStatuses", "containerStatuses")
        for one in status.get(field) or []
        if (one.get("state") or {}).get("running")
    }


def run(
    prober: Prober, *words: str, stdin: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs kubectl as the user does."""
    return subprocess.run(
        [prober.kubectl, *prober.flags, *words],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=prober.seconds,
        env=dict(prober.env.environ),
        check=False,
    )


def in_container(
    pod: Object, container: str, path: str, world: World, prober: Prober
) -> tuple[str, str]:
    """What the script prints in a container, or why it could not be run there: (text, why not)."""
    metadata = pod["metadata"]
    try:
        done = run(
            prober,
            *("-n", metadata["namespace"], "exec", metadata["name"], "-c", container, "--"),
            *("sh", "-c", SCRIPT, "sh", path),
        )
        if "probe=satoken" in done.stdout:
            return done.stdout, ""
        why = one_line(done.stderr)
        if not any(text in done.stderr for text in NO_SHELL):
            return "", why
        if not prober.image:
            return "", "it has no shell (--probe-image looks from a container beside it)"
        return beside(pod, container, path, world, prober)
    except subprocess.TimeoutExpired:
        return "", "no answer in time"
    except OSError as error:
        return "", f"kubectl cannot be run: {error.strerror}"


def beside(pod: Object, container: str, path: str, world: World, prober: Prober) -> tuple[str, str]:
    """The same from an ephemeral container with a shell, which mounts what the container mounts.

    It runs as the container's own user where the pod says who that is. An ephemeral container stays
    in the pod's spec until the pod goes; it has ended by then.
    """
    metadata = pod["metadata"]
    where = ["-n", metadata["namespace"]]
    item = next(one for one in containers(pod) if one["name"] == container)
    mounts = [
        {key: mount[key] for key in ("name", "mountPath", "readOnly") if key in mount}
        for mount in item.get("volumeMounts") or []
        if path.startswith(mount["mountPath"].rstrip("/") + "/") and not mount.get("subPath")
    ]
    if not mounts:
        return "", "it has no shell, and its mount cannot be shared with another container"
    name = f"satoken-{int(time.time()):x}"
    own: Object = {"name": name, "image": prober.image, "volumeMounts": mounts}
    own["command"] = ["sh", "-c", SCRIPT, "sh", path]
    own["targetContainerName"] = container
    user = (item.get("securityContext") or {}).get("runAsUser")
    security: Object = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    if user is not None:
        security["runAsUser"] = user
    own["securityContext"] = security
    patch = {"spec": {"ephemeralContainers": [own]}}
    done = run(
        prober,
        *(*where, "patch", "pod", metadata["name"], "--subresource=ephemeralcontainers"),
        *("--type=strategic", "-p", json.dumps(patch)),
    )
    if done.returncode:
        return "", "it has no shell, and beside it: " + one_line(done.stderr)
    jsonpath = f"{{.status.ephemeralContainerStatuses[?(@.name=={json.dumps(name)})].state}}"
    end = time.monotonic() + prober.seconds
    while time.monotonic() < end:
        done = run(prober, *where, "get", "pod", metadata["name"], "-o", f"jsonpath={jsonpath}")
        if '"terminated"' in done.stdout:
            return run(prober, *where, "logs", metadata["name"], "-c", name).stdout, ""
        if "ErrImage" in done.stdout or "ImagePullBackOff" in done.stdout:
            return "", f"it has no shell, and image {prober.image} cannot be pulled (--probe-image)"
        time.sleep(0.5)
    return "", f"it has no shell, and ephemeral container {name} did not end in time"


def facts_of(text: str) -> dict[str, str]:
    """What the script printed; further lines of a key are joined."""
    facts: dict[str, str] = {}
    for line in text.splitlines():
        key, mark, value = line.partition("=")
        if mark and key.isalpha():
            facts[key] = f"{facts[key]} {value}" if key in facts and key == "error" else value
    return facts


def seen(
    pod: Object, container: str, path: str, file: TokenFile | None, facts: dict[str, str]
) -> Object:
    """What was seen in a container as a Token object."""
    token = token_object(
        pod,
        f"--probe of container {container}",
        asked={
            "audience": file.audience if file else "",
            "lifetime": file.lifetime if file else None,
            "path": path,
            "container": container,
        },
        file={
            "path": path,
            "state": facts.get("file", ""),
            "listing": facts.get("listing", "").removesuffix(path).strip(),
            "user": facts.get("uid", ""),
            "groups": facts.get("groups", ""),
            "ca": "ca" in facts,
            "trust": "trust" not in facts,
        },
        server={"host": facts.get("host", ""), "port": facts.get("port", "")},
    )
    if facts.get("file") == "there":
        try:
            claims = decode_parts(facts.get("header", ""), facts.get("payload", ""))
            token |= {"header": claims.header, "payload": claims.payload}
        except Malformed:
            token["file"]["state"] = "malformed"
    status = facts.get("status", "")
    if "by" in facts:
        by = f"a request from the pod ({facts['by']})"
        if status.isdigit() and int(status):
            taken = status != "401"
            token["reviews"] = [{"by": by, "authenticated": taken, "error": "" if taken else "401"}]
        else:
            token["unreached"] = plain(one_line(facts.get("error", ""))) or "no answer"
    return token


# OpenSSL's way to put it: thread:error:code:library:function:reason:file:line:what was tried
OPENSSL = r":error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):"
VERIFY = r"verify error:num=\d+:([^:]+?)(?= \w+:error:|$)"


def plain(error: str) -> str:
    """What went wrong in a request, without OpenSSL's numbers and files."""
    import re

    certificate = re.search(VERIFY, error)
    if certificate:
        return f"certificate verify failed: {certificate[1]}"
    reason = re.search(OPENSSL, error)
    return reason[1] if reason else error
