"""URLs, split as Go does and shown without what is secret in them."""

import re
from urllib.parse import SplitResult, urlsplit


def split_url(url: str) -> SplitResult:
    """The parts of a URL; empty ones when it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def without_login(url: str) -> str:
    """The URL without the user name and password it may hold."""
    return re.sub(r"//[^/@]*@", "//", url, count=1)
