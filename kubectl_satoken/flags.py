"""The flags that every kubectl command has, and what becomes of them."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .world import Sealed

if TYPE_CHECKING:
    from .kubeconfig import Overrides

# (flag, destination, help); the words are those of `kubectl options`
VALUES = (
    ("--kubeconfig", "kubeconfig", "path to the kubeconfig file to use"),
    ("--context", "context", "the name of the kubeconfig context to use"),
    ("--cluster", "cluster", "the name of the kubeconfig cluster to use"),
    ("--user", "user", "the name of the kubeconfig user to use"),
    ("--as", "as_user", "username to impersonate for the operation"),
    ("--as-uid", "as_uid", "UID to impersonate for the operation"),
    ("--certificate-authority", "certificate_authority", "path to a cert file for the authority"),
    ("--client-certificate", "client_certificate", "path to a client certificate file for TLS"),
    ("--client-key", "client_key", "path to a client key file for TLS"),
    ("--tls-server-name", "tls_server_name", "server name to use for certificate validation"),
    (
        "--request-timeout",
        "request_timeout",
        "how long to wait for a single server request (1s, 2m, 3h); 0 means for ever",
    ),
    ("--token", "token", "bearer token for authentication to the API server"),
)

# Those that decide which cluster is reached: printed fixes repeat them. Whom the user plays, and
# with what credentials, is not repeated: a token never is, and who may look may not mend.
SCOPE = ("kubeconfig", "context", "cluster", "server")


def add_file_flags(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds -f and -R; ``text`` is what is done with the files."""
    parser.add_argument(
        "-f",
        "--filename",
        dest="files",
        action="append",
        default=[],
        help=f"{text}: file, folder, - for stdin",
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="look into the folders below as well"
    )


def add_output_flag(
    parser: argparse.ArgumentParser, formats: Sequence[str], text: str = ""
) -> None:
    """Adds -o with these formats; ``text`` is what has to be said of some of them."""
    parser.add_argument(
        "-o",
        "--output",
        choices=formats,
        metavar="FORMAT",
        help=f"output format: {', '.join(formats)}{text}",
    )


def add_color_flag(parser: argparse.ArgumentParser) -> None:
    """Adds --color."""
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour the output (default: auto; NO_COLOR is heeded)",
    )


def add_cluster_flags(parser: argparse.ArgumentParser) -> None:
    """Adds kubectl's global flags."""
    group = parser.add_argument_group("cluster, as with kubectl")
    group.add_argument("-n", "--namespace", help="the namespace scope for this request")
    group.add_argument("-s", "--server", help="the address and port of the API server")
    for flag, name, text in VALUES:
        group.add_argument(flag, dest=name, metavar=flag[2:].upper(), help=text)
    group.add_argument(
        "--as-group",
        dest="as_groups",
        metavar="GROUP",
        action="append",
        default=[],
        help="group to impersonate, can be repeated",
    )
    group.add_argument(
        "--as-user-extra",
        dest="as_user_extra",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="user extra to impersonate, can be repeated",
    )
    group.add_argument(
        "--insecure-skip-tls-verify",
        action="store_true",
        default=None,
        help="do not check the server's certificate; this makes the connection insecure",
    )
    group.add_argument(
        "-v",
        "--v",
        dest="verbosity",
        metavar="LEVEL",
        type=int,
        default=0,
        help="log level; 6 and more show the requests",
    )


def overrides(args: argparse.Namespace) -> "Overrides":
    """What the flags say, for kubeconfig.load."""
    from .kubeconfig import Overrides

    return Overrides(
        kubeconfig=args.kubeconfig,
        context=args.context,
        cluster=args.cluster,
        user=args.user,
        namespace=args.namespace,
        as_user=args.as_user,
        as_groups=tuple(args.as_groups),
        as_uid=args.as_uid,
        as_user_extra=tuple(args.as_user_extra),
        server=args.server,
        token=Sealed(args.token) if args.token else None,
        certificate_authority=args.certificate_authority,
        client_certificate=args.client_certificate,
        client_key=args.client_key,
        tls_server_name=args.tls_server_name,
        insecure_skip_tls_verify=args.insecure_skip_tls_verify,
        request_timeout=args.request_timeout,
    )


def repeated(args: argparse.Namespace) -> list[str]:
    """The flags that make a kubectl of ours reach the same cluster as the same user.

    Raises UsageError for a token: on a second command line it would be seen by others.
    """
    from .errors import UsageError

    if args.token:
        raise UsageError(
            "--token cannot be handed on to kubectl exec without showing it",
            "put the token into a kubeconfig: kubectl config set-credentials NAME --token …",
        )
    words = [
        f"{flag}={value}"
        for flag, name, _ in (*VALUES, ("--server", "server", ""))
        if (value := getattr(args, name))
    ]
    words += [f"--as-group={group}" for group in args.as_groups]
    words += [f"--as-user-extra={extra}" for extra in args.as_user_extra]
    if args.insecure_skip_tls_verify:
        words.append("--insecure-skip-tls-verify")
    return words


def scope(args: argparse.Namespace) -> tuple[str, ...]:
    """The flags by which kubectl reaches the cluster that was looked at."""
    words: list[str] = []
    for name in SCOPE:
        value = getattr(args, name)
        if value:
            words += [f"--{name}", value]
    return tuple(words)
