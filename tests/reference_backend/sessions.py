"""Sign-in, logout, and the current user."""

import secrets
from datetime import UTC, datetime

from flask import g
from werkzeug.security import check_password_hash

from tests.reference_backend import access, serializers
from tests.reference_backend.access import SESSION, caller_id, database, fetch_one, format_timestamp
from tests.reference_backend.bugs import is_enabled
from tests.reference_backend.database import insert
from tests.reference_backend.request_data import body
from tests.reference_backend.serializers import Json
from tests.reference_backend.validation import HttpError, email, string


def store() -> Json:
    """POST /auth/sign-in."""
    sent = body({"email": email(), "password": string(1)}, "email", "password")
    row = fetch_one("SELECT * FROM users WHERE fold(email) = fold(:email)", email=sent["email"])
    if row is None or not check_password_hash(row["password"], sent["password"]):
        raise HttpError(404 if is_enabled("wrong-credentials-are-404") else 401, "Unauthenticated.")
    expires = format_timestamp(datetime.now(UTC) + SESSION)
    token = secrets.token_hex(20)
    number = insert(database(), "personal_access_tokens", {"user_id": row["id"], "token": token, "expires_at": expires})
    bearer_token = f"{number}|{token}"
    database().execute("UPDATE personal_access_tokens SET token = ? WHERE id = ?", [bearer_token, number])
    g.caller_id = row["id"]
    user = serializers.user(row, serializers.OWNER)
    serialized = {"token": bearer_token, "token_type": "Bearer", "expires_at": serializers.stamp(expires), "user": user}
    return {"data": serialized}


def delete() -> None:
    """POST /auth/logout."""
    if not is_enabled("token-survives-logout"):
        database().execute("DELETE FROM personal_access_tokens WHERE token = ?", [g.token])


def show() -> Json:
    """GET /user and GET /user/multiplai."""
    row = fetch_one("SELECT * FROM users WHERE id = :id", id=caller_id())
    if row is None:
        raise access.build_not_found_error()
    serialized = serializers.user(row, serializers.OWNER)
    if is_enabled("key-left-out"):
        del serialized["first_name"]
    return {"data": serialized}
