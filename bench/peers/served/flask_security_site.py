# mypy: ignore-errors
"""Flask-Security-Too as its quickstart sets it up, for production, with a key after the password. As a program: make accounts.

It has no limits of its own: whoever uses it brings them, and here nobody does.
"""

import json
import os
from pathlib import Path

from flask import Flask
from flask_security import Security, SQLAlchemyUserDatastore, auth_required, hash_password
from flask_security.models import fsqla_v3 as fsqla
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from webauthn.helpers import base64url_to_bytes
from werkzeug.middleware.proxy_fix import ProxyFix

FOLDER = Path(os.environ["BENCH_FOLDER"])
SECRET = (FOLDER / "secret").read_text()

app = Flask(__name__)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)
app.config.update(
    DEBUG=False,
    SECRET_KEY=SECRET,
    SECURITY_PASSWORD_SALT="of the bench only",
    SECURITY_WEBAUTHN=True,
    SECURITY_WAN_RP_NAME="Bench",
    SECURITY_WAN_ALLOW_AS_FIRST_FACTOR=False,
    SECURITY_WAN_ALLOW_AS_MULTI_FACTOR=True,
    SESSION_COOKIE_NAME="__Host-session",
    SESSION_COOKIE_SECURE=True,
    SESSION_COOKIE_SAMESITE="strict",
    REMEMBER_COOKIE_SECURE=True,
    REMEMBER_COOKIE_SAMESITE="strict",
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{FOLDER / 'flask_security.db'}",
    SQLALCHEMY_ENGINE_OPTIONS={"pool_pre_ping": True, "connect_args": {"timeout": 20}},
)
db = SQLAlchemy(app)
fsqla.FsModels.set_db_info(db)


class Role(db.Model, fsqla.FsRoleMixin):
    pass


class User(db.Model, fsqla.FsUserMixin):
    pass


class WebAuthn(db.Model, fsqla.FsWebAuthnMixin):
    pass


datastore = SQLAlchemyUserDatastore(db, User, Role, WebAuthn)
app.security = Security(app, datastore)


def durable(connection, _record):
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


with app.app_context():
    event.listen(db.engine, "connect", durable)


@app.get("/")
@auth_required("session")
def home():
    return "home"


def seed():
    db.create_all()
    for person in json.loads((FOLDER / "people.json").read_text()):
        account = datastore.create_user(
            email=person["email"],
            password=hash_password(person["password"]),
            fs_webauthn_user_handle=person["handle"],
        )
        datastore.create_webauthn(
            account,
            credential_id=base64url_to_bytes(person["credential_id"]),
            public_key=base64url_to_bytes(person["public_key"]),
            name="Bench key",
            sign_count=0,
            usage="secondary",
            device_type="single_device",
            backup_state=False,
            transports=["usb"],
            extensions=None,
        )
    datastore.commit()


if __name__ == "__main__":
    with app.app_context():
        seed()
