"""Tokens signed by ourselves, with a cluster's own key or another, so that one thing is wrong."""

import base64
import hashlib
import json
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kubectl_satoken.world import Object, Sealed
from tests.cluster import Cluster


def encoded(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer(NamedTuple):
    """A key that signs tokens."""

    key: rsa.RSAPrivateKey

    @property
    def kid(self) -> str:
        """The key's id as Kubernetes makes it."""
        public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return encoded(hashlib.sha256(public).digest())

    def sign(self, payload: Object, header: Object | None = None) -> Sealed:
        """A token with these claims; ``header`` changes its header, None takes a field out."""
        fields = {"alg": "RS256", "kid": self.kid, **(header or {})}
        kept = {name: value for name, value in fields.items() if value is not None}
        text = f"{encoded(kept)}.{encoded(payload)}"
        signature = self.key.sign(text.encode(), *scheme(fields["alg"]))
        return Sealed(f"{text}.{encoded(signature)}")


def scheme(algorithm: str) -> tuple[Any, Any]:
    """Padding and hash of an algorithm of JWS for RSA."""
    hashed = {"384": hashes.SHA384, "512": hashes.SHA512}.get(algorithm[2:], hashes.SHA256)()
    if algorithm.startswith("PS"):
        return padding.PSS(padding.MGF1(hashed), padding.PSS.DIGEST_LENGTH), hashed
    return padding.PKCS1v15(), hashed


def cluster_signer(cluster: Cluster) -> Signer:
    key = serialization.load_pem_private_key(cluster.service_account_key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return Signer(key)


def foreign_signer() -> Signer:
    return Signer(rsa.generate_private_key(65537, 2048))
