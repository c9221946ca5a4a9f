"""Sign in, logout, and who one is."""

import secrets
from datetime import UTC, datetime

from flask import g
from werkzeug.security import check_password_hash

from tests.reference_backend import access, presenting
from tests.reference_backend.access import SESSION, database, me, one, stamp_of
from tests.reference_backend.asked import body
from tests.reference_backend.bugs import planted
from tests.reference_backend.database import insert
from tests.reference_backend.presenting import Shown
from tests.reference_backend.validation import Refusal, email, string


def store() -> Shown:
    """POST /auth/sign-in."""
    sent = body({"email": email(), "password": string(1)}, "email", "password")
    row = one("SELECT * FROM users WHERE fold(email) = fold(:email)", email=sent["email"])
    if row is None or not check_password_hash(row["password"], sent["password"]):
        raise Refusal(404 if planted("wrong-credentials-are-404") else 401, "Unauthenticated.")
    expires = stamp_of(datetime.now(UTC) + SESSION)
    token = secrets.token_hex(20)
    number = insert(database(), "personal_access_tokens", {"user_id": row["id"], "token": token, "expires_at": expires})
    whole = f"{number}|{token}"
    database().execute("UPDATE personal_access_tokens SET token = ? WHERE id = ?", [whole, number])
    g.me = row["id"]
    user = presenting.user(row, presenting.OWNER)
    shown = {"token": whole, "token_type": "Bearer", "expires_at": presenting.stamp(expires), "user": user}
    return {"data": shown}


def delete() -> None:
    """POST /auth/logout."""
    if not planted("token-survives-logout"):
        database().execute("DELETE FROM personal_access_tokens WHERE token = ?", [g.token])


def show() -> Shown:
    """GET /user and GET /user/multiplai."""
    row = one("SELECT * FROM users WHERE id = :id", id=me())
    if row is None:
        raise access.missing()
    shown = presenting.user(row, presenting.OWNER)
    if planted("key-left-out"):
        del shown["first_name"]
    return {"data": shown}
