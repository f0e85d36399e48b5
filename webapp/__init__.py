"""Keystead: an Account Center where a bound U2F security key is needed to log on."""

__version__ = "0.2.0"
