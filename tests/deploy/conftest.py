"""What a deployment has beside Keystead: a certificate, and people with a browser."""

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import sync_playwright

from tests.browser import keys as virtual
from tests.browser.conftest import Visit

SECONDS = 15
HOSTS = [
    "localhost", "keys.example.test", "www.example.test", "account.old-example.test", "account.new-example.test",
    "account.example.com", "wiki.example.com", "console.example.net", "payroll.example.org",
]  # fmt: skip


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for this machine's names, in one file; its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOSTS[0])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "test.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def fingerprint(certificate: Path) -> str:
    """Of its public key, as Chromium's flag wants it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.fixture
def visit() -> Iterator[Visit]:
    """Somebody at Chromium who trusts the test's certificate.

    For one test at a time: Playwright keeps an event loop in this thread, and other tests need to start theirs.
    """
    if virtual.PROGRAMS["chromium"] is None:
        pytest.skip("CHROMIUM IS NOT INSTALLED: nothing was tested in it")
    with sync_playwright() as playwright, virtual.launch(playwright, "chromium") as (browser, keys_of):
        context = browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        yield Visit("chromium", context, page, keys_of(page), keys_of)
        context.close()
