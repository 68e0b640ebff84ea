"""The proxy that the environment sets, by the rules of Go."""

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult

from .errors import KubeconfigError
from .urls import split_url


def environment_proxy(environ: Mapping[str, str], url: str) -> str | None:
    """The proxy that the environment sets for the URL, by the rules of Go."""
    target = split_url(url)
    name = "HTTPS_PROXY" if target.scheme == "https" else "HTTP_PROXY"
    proxy = environ.get(name) or environ.get(name.lower()) or ""
    if not proxy or not is_proxied(environ, target):
        return None
    parts = split_url(proxy)
    if not parts.scheme or not parts.netloc:
        proxy = f"http://{proxy}"
        parts = split_url(proxy)
    if parts.scheme not in ("http", "https", "socks5", "socks5h") or not parts.hostname:
        raise KubeconfigError(f"invalid proxy address in {name}", "it is like http://host:port")
    return proxy


def is_proxied(environ: Mapping[str, str], target: SplitResult) -> bool:
    """Whether no rule of NO_PROXY, and none of Go, exempts the URL."""
    host = (target.hostname or "").lower()
    port = str(target.port or (443 if target.scheme == "https" else 80))
    if host == "localhost":
        return False
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is not None and address.is_loopback:
        return False
    for rule in (environ.get("NO_PROXY") or environ.get("no_proxy") or "").lower().split(","):
        rule = rule.strip()
        if rule == "*":
            return False
        try:
            network = ip_network(rule, strict=False) if "/" in rule else None
        except ValueError:
            network = None
        if network is not None:
            if address is not None and address in network:
                return False
            continue
        name, rule_port = host_and_port(rule)
        if not name or (rule_port and rule_port != port):
            continue
        if address is not None:
            with suppress(ValueError):  # names are not for addresses
                if ip_address(name) == address:
                    return False
            continue
        name = name.removeprefix("*") if name.startswith("*.") else name
        # example.com is itself and all below it, .example.com only what is below it.
        if host.endswith(name if name.startswith(".") else f".{name}") or host == name:
            return False
    return True


def host_and_port(rule: str) -> tuple[str, str]:
    """The two parts of a rule of NO_PROXY; without a port the second is empty."""
    if rule.startswith("["):
        host, _, rest = rule[1:].partition("]")
        return host, rest.removeprefix(":")
    host, colon, port = rule.rpartition(":")
    if not colon or ":" in host:  # no port, or an IPv6 address
        return rule, ""
    return host, port
