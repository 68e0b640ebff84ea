"""Keys, certificates and kubeconfigs of a cluster, all beneath its folder.

Elliptic keys for certificates, since they are made in no time; RSA for the service account keys,
since that is what real clusters sign tokens with.
"""

import base64
import datetime
import ipaddress
import json
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# Certificates begin in the past, for clocks that are set back while a cluster runs.
BEFORE = datetime.timedelta(hours=1)
LIFETIME = datetime.timedelta(days=365)


def create(folder: Path, service_addresses: Sequence[str], node: str, node_address: str) -> None:
    """Make the CA, the service account keys and the certificates of all components."""
    folder.mkdir(mode=0o700, parents=True)
    create_ca(folder)
    create_service_account_keys(folder)
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names += ["kubernetes.default.svc.cluster.local", "127.0.0.1", *service_addresses]
    issue(folder, folder / "apiserver", "kube-apiserver", serves=names)
    issue(folder, folder / "apiserver-kubelet-client", "kube-apiserver", ["system:masters"])
    issue(folder, folder / "kubelet", f"system:node:{node}", serves=[node, node_address])


def create_ca(folder: Path) -> None:
    """Make ``ca.crt`` and ``ca.key``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = common_name("kubernetes")
    # Python 3.13 and later refuse a CA that does not say what its key is for, and which it is.
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    write_key(folder / "ca.key", key)
    (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def create_service_account_keys(folder: Path) -> None:
    """Make ``sa.key``, which signs tokens, and ``sa.pub``, which proves them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write_key(folder / "sa.key", key)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "sa.pub").write_bytes(public)


def issue(
    folder: Path,
    file: Path,
    name: str,
    groups: Sequence[str] = (),
    serves: Sequence[str] = (),
) -> None:
    """Make ``file.crt`` and ``file.key``, signed by the CA in the folder.

    A certificate that ``serves`` host names or addresses is a server's, any other is a client's:
    the API server takes its common name for the user and its organizations for the groups.
    """
    ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
    certificate = (
        builder(common_name(name, groups), ca.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
    )
    if serves:
        alternatives = x509.SubjectAlternativeName([general_name(host) for host in serves])
        certificate = certificate.add_extension(alternatives, critical=False)
    signed = certificate.sign(ca_key, hashes.SHA256())
    write_key(Path(f"{file}.key"), key)
    Path(f"{file}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def write_kubeconfig(
    path: Path, server: str, folder: Path, name: str, groups: Sequence[str] = ()
) -> Path:
    """A kubeconfig, readable by its owner alone, for a user of that name.

    With everything inside, so that the file may be moved; certificate and key are beside it, too.
    JSON is YAML that needs no library.
    """
    file = path.with_suffix("")
    issue(folder, file, name, groups)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "test",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": encoded(folder / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": encoded(Path(f"{file}.crt")),
                    "client-key-data": encoded(Path(f"{file}.key")),
                },
            }
        ],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        "current-context": "test",
    }
    write_private(path, json.dumps(config, indent=2).encode())
    return path


def builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey) -> x509.CertificateBuilder:
    """What all certificates have in common."""
    now = datetime.datetime.now(datetime.UTC)
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def common_name(name: str, groups: Sequence[str] = ()) -> x509.Name:
    """A subject as the API server reads it: user and groups."""
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def general_name(host: str) -> x509.GeneralName:
    """An alternative name of a server: an address where it is one, else a host name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def write_key(path: Path, key: PrivateKey) -> None:
    """Write a private key for its owner's eyes."""
    # Not PKCS#8 but the older format: kube-controller-manager reads it for both kinds of key.
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    write_private(path, content)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, at no moment."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def encoded(path: Path) -> str:
    """A file's content as kubeconfigs hold it."""
    return base64.b64encode(path.read_bytes()).decode()
