"""All of fido2: the options that a ceremony begins with, and the verification of the answer that ends it. Holds no state.

An answer is hostile text until it was verified. Whatever is wrong with it comes out as `Rejected`, and nothing else does. Never
trusts anything that the browser could have chosen: what was offered is decided here, what was bound is handed in.
"""

from webapp.webauthn.options import TRANSPORTS, RelyingParty, creation_options, request_options
from webapp.webauthn.public_keys import ALGORITHMS
from webapp.webauthn.rejection import NotYours, Rejected
from webapp.webauthn.verification import (
    MAX_ANSWER,
    MAX_ID,
    Assertion,
    RegisteredCredential,
    verify_assertion,
    verify_registration,
)

__all__ = [
    "ALGORITHMS",
    "MAX_ANSWER",
    "MAX_ID",
    "TRANSPORTS",
    "Assertion",
    "NotYours",
    "RegisteredCredential",
    "Rejected",
    "RelyingParty",
    "creation_options",
    "request_options",
    "verify_assertion",
    "verify_registration",
]
