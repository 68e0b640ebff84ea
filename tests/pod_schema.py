"""Writes kubectl_satoken/pod_schema.py from the Go types of Kubernetes: python -m tests.pod_schema

The module cache of Go has them once the control plane of the tests was built.
"""

import os
import re
import sys
import textwrap
from pathlib import Path

from tests.conftest import ROOT

TARGET = ROOT / "kubectl_satoken" / "pod_schema.py"
VERSION = "v0.36.3"
FILES = (
    f"api@{VERSION}/core/v1/types.go",
    f"api@{VERSION}/apps/v1/types.go",
    f"api@{VERSION}/batch/v1/types.go",
    f"apimachinery@{VERSION}/pkg/apis/meta/v1/types.go",
)
ROOTS = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "Job")
SCALARS = {"string": "s", "bool": "b", "int32": "i", "int64": "i", "[]byte": "B", "types.UID": "s"}
# Read by functions of their own.
SPECIAL = ("Time", "MicroTime", "Quantity", "IntOrString", "FieldsV1")

HEAD = '''"""The Kubernetes types of pods and workloads, as both encodings of the API have them.

Written by tests/pod_schema.py from the Go types of k8s.io/api and k8s.io/apimachinery.
"""

# TYPE: NUMBER NAME KIND; ...
# NUMBER is the field's in protobuf, NAME the one in JSON. KIND is another type, or s (string),
# i (integer), b (boolean), B (bytes), m:KIND (map of strings to that), * a list of it. ?: JSON
# leaves it out when it is empty; !: JSON writes null for it when it is not there; <: the fields of
# the type belong to this one.
TYPES = """\\
'''


def sources() -> Path:
    """Where the Go modules of Kubernetes are."""
    cache = os.environ.get("GOMODCACHE") or Path.home() / "go" / "pkg" / "mod"
    return Path(cache) / "k8s.io"


class Types:
    """The Go types of some files."""

    def __init__(self, files: list[Path]) -> None:
        self.structs: dict[str, str] = {}
        self.names: dict[str, str] = {}  # what a named type is
        for file in files:
            text = file.read_text()
            for found in re.finditer(r"^type (\w+) struct \{\n(.*?)^\}", text, re.S | re.M):
                self.structs.setdefault(found[1], found[2])
            plain = r"^type (\w+) (\[\]\w+|map\[\w+\][\w.]+|string|int32|int64|bool)\b"
            for found in re.finditer(plain, text, re.M):
                self.names.setdefault(found[1], found[2])
        self.lines: dict[str, list[str]] = {}

    def resolved(self, type_: str) -> str:
        """A type without the names that were given to plain ones."""
        while (bare := type_.rpartition(".")[2]) in self.names:
            type_ = self.names[bare]
        return type_

    def visit(self, name: str) -> None:
        """Notes a struct and all that it consists of."""
        if name in self.lines or name in SPECIAL:
            return
        cells = self.lines[name] = []
        for line in self.structs[name].splitlines():
            found = re.match(r"\s+(?:(\w+)\s+)?(\S+)\s+`(.*)`", line)
            number = re.search(r'protobuf:"\w+,(\d+),', found[3]) if found else None
            if found is None or number is None:
                continue
            json = re.search(r'json:"([^",]*),?([^"]*)"', found[3])
            assert json, line
            if json[1] == "selfLink":  # has not been filled since 1.20
                continue
            if not json[1]:
                inner = found[2].rpartition(".")[2]
                cells.append(f"{number[1]} < {inner}")
            else:
                kind, inner = self.kind(found[2], json[2])
                cells.append(f"{number[1]} {json[1]} {kind}")
            if inner in self.structs:
                self.visit(inner)

    def kind(self, type_: str, options: str) -> tuple[str, str]:
        """A field's kind as the table has it, and the name of its type."""
        pointer = type_.startswith("*")
        type_ = self.resolved(type_.lstrip("*"))
        many = type_.startswith("[]") and type_ != "[]byte"
        if many:
            type_ = self.resolved(type_[2:].lstrip("*"))
        if type_.startswith("map["):
            value = self.resolved(type_.partition("]")[2]).rpartition(".")[2]
            return f"m:{SCALARS.get(value, value)}", value
        inner = type_.rpartition(".")[2]
        kind = SCALARS.get(type_, inner)
        plain = type_ in SCALARS and not pointer and not many
        empty = (plain and "omitempty" in options) or "omitzero" in options
        needed = many and "omitempty" not in options
        return f"{'*' if many else ''}{kind}{'?' if empty else ''}{'!' if needed else ''}", inner


def module() -> str:
    """The text of the module."""
    types = Types([sources() / file for file in FILES])
    for kind in ROOTS:
        types.visit(kind)
    text = HEAD
    for name, cells in types.lines.items():
        line = f"{name}: {'; '.join(cells)}"
        wrapped = textwrap.wrap(
            line,
            width=99,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        text += "\n".join(wrapped) + "\n"
    return text + '"""\n'


if __name__ == "__main__":
    TARGET.write_text(module())
    sys.stderr.write(f"wrote {TARGET}\n")
