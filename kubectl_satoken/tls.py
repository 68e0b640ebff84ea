"""The TLS of connections, which trusts what kubectl trusts."""

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .credentials import Certificate
from .errors import KubeconfigError

# Where distributions keep their trusted certificates: Debian, RHEL (three), SUSE, Alpine. Only
# looked at when OpenSSL's own default is empty, as it is when our Python was built elsewhere.
CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def ssl_context(
    ca: str | None, insecure: bool = False, certificate: Certificate | None = None
) -> ssl.SSLContext:
    """A context that trusts what Go would: the PEM certificates of ``ca``, or the system's.

    Not ssl.create_default_context: from Python 3.13 on it refuses authorities without keyUsage or
    key identifiers, of which many clusters have one, and which kubectl takes.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Go trusts every certificate in the file, also an intermediate or the server's own.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if ssl.HAS_NEVER_CHECK_COMMON_NAME:
        context.hostname_checks_common_name = False
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        trust_system(context)
    else:
        trust(context, ca)
    if certificate is not None:
        load_certificate(context, certificate)
    return context


def trust(context: ssl.SSLContext, ca: str) -> None:
    """Trusts the PEM certificates of a text."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    blocks = re.findall(f"{begin}.*?{end}", ca, re.DOTALL)
    trusted = 0
    for block in blocks:
        try:
            context.load_verify_locations(cadata=block)
            trusted += 1
        except (ssl.SSLError, ValueError):  # Go skips what it cannot parse, too
            continue
    if not trusted:
        raise KubeconfigError(
            "unable to load root certificates: no certificate in the certificate authority",
            "certificate-authority must be PEM: -----BEGIN CERTIFICATE----- ...",
        )


def trust_system(context: ssl.SSLContext) -> None:
    """The system's certificates, or those that SSL_CERT_FILE and SSL_CERT_DIR name."""
    context.load_default_certs()
    paths = ssl.get_default_verify_paths()
    if (
        context.cert_store_stats()["x509_ca"]
        or os.environ.get(paths.openssl_cafile_env)
        or os.environ.get(paths.openssl_capath_env)
    ):
        return
    for bundle in CA_BUNDLES:
        if os.path.exists(bundle):
            with suppress(ssl.SSLError):  # not a certificate in it
                context.load_verify_locations(cafile=bundle)
                return
    try:
        import certifi
    except ImportError:
        return
    context.load_verify_locations(cafile=certifi.where())


def load_certificate(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Gives OpenSSL the key, which it takes from a path only, without a file where it can be."""
    pem = f"{certificate.chain}\n{certificate.key.reveal()}\n".encode()
    try:
        # The empty password keeps OpenSSL from asking for one on the terminal.
        with readable(pem) as path:
            context.load_cert_chain(path, password="")
    except (ssl.SSLError, ValueError) as error:
        why = "failed to parse the client certificate or its private key: not PEM, or encrypted"
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            why = "private key does not match public key of the client certificate"
        raise KubeconfigError(
            f"tls: {why}", "the key must be an unencrypted PEM block, and belong to the certificate"
        ) from error


@contextmanager
def readable(content: bytes) -> Iterator[str]:
    """A path from which the bytes can be read while inside ``with``."""
    in_memory = hasattr(os, "memfd_create") and os.path.exists("/proc/self/fd")
    if in_memory:
        number = os.memfd_create("satoken")  # memory, gone with the process
        path = f"/proc/self/fd/{number}"
    else:
        from tempfile import mkstemp

        number, path = mkstemp()  # for the owner only, and for an instant
    try:
        with os.fdopen(os.dup(number), "wb") as file:
            file.write(content)
        yield path
    finally:
        os.close(number)
        if not in_memory:
            os.unlink(path)
