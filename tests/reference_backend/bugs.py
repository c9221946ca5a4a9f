"""The bugs of the backend: each is one realistic mistake in one location.

The environment variable BACKEND_BUG enables one at startup. They were collected from mistakes in hand-written SQL and
in Laravel applications, independently of the suite's mutation operators.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import current_app


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug. `operations`: where a failed check detects it. `related_operations`: further ones to run."""

    description: str
    operations: tuple[str, ...]
    related_operations: tuple[str, ...] = ()


AGENT = ("listAgents", "retrieveAgent", "createAgent", "updateAgent")
COUNTED = ("listAgents", "retrieveAgent", "createThread")  # a check on counts belongs to the counted write

BUGS: Mapping[str, Bug] = {
    # Lists
    "offset-off-by-one": Bug("OFFSET is one too small from the second page on", ("listMessages",)),
    "limit-plus-one": Bug("LIMIT n + 1 to see whether there is more, and the extra row is kept", ("listThreads",)),
    "page-size-is-fixed": Bug("per_page is ignored", ("listAgents",)),
    "total-before-filter": Bug("the total is counted without the filters", ("listMessages",)),
    "last-page-rounded-down": Bug("last_page is rounded down", ("listAgents", "listThreads", "listMessages")),
    "page-links-lose-the-query": Bug(
        "links to other pages lose filters and page size", ("listAgents", "listThreads", "listMessages")
    ),
    "page-zero-is-taken": Bug("page=0 and page=-1 are accepted", ("listAgents", "listThreads", "listMessages")),
    "oldest-first": Bug("without sort_by the oldest come first", ("listThreads",)),
    "ties-in-any-order": Bug("records of one second have no fixed order", ("listMessages",)),
    "direction-ignored-for-a-column": Bug("sort_direction is ignored with one sort_by", ("listThreads",)),
    "sorts-by-another-column": Bug("sort_by=updated_at sorts by the id", ("listAgents",), ("updateAgent",)),
    "inner-join-loses-rows": Bug("an INNER JOIN loses threads without an agent", ("listThreads", "createThread")),
    "deleted-rows-are-listed": Bug("softly deleted threads are listed", ("listThreads", "deleteThread")),
    # Filters
    "filter-forgotten": Bug("one filter has no WHERE", ("listAgents",)),
    "first-of-many-only": Bug("of a list of values only the first one filters", ("listAgents",)),
    "false-is-not-given": Bug("`if (value)`: a filter by false does nothing", ("listAgents",)),
    "filters-joined-by-or": Bug("two filters are joined by OR", ("listThreads",)),
    "blank-filter-is-a-value": Bug("a blank filter is a value", ("listThreads",)),
    "search-or-without-brackets": Bug("a search's OR without brackets undoes the tenant's AND", ("listAgents",)),
    "search-in-first-column-only": Bug("only the first column is searched", ("listAgents", "listWorkspaces")),
    "search-from-the-start-only": Bug(
        "a search finds what begins with the words: LIKE 'words%'", ("listMessages", "listThreads", "listAgents")
    ),
    "search-put-into-the-sql": Bug("an apostrophe in a search breaks the SQL", ("listAgents",)),
    # Relations and figures
    "nested-relation-forgotten": Bug("with=thread.agent embeds the thread alone", ("listMessages", "listAgents")),
    "relation-by-wrong-column": Bug("a thread's agent is joined on the wrong column", ("createThread", "listThreads")),
    "count-includes-deleted": Bug("a count includes softly deleted records", (*COUNTED, "deleteThread")),
    "count-without-the-last": Bug("a count is one too small", COUNTED, ("deleteThread",)),
    # Values in answers
    "number-as-text": Bug("a count is answered as text", AGENT),
    "null-for-an-empty-list": Bug("an empty list is answered as null", ("listMessages", "retrieveMessage")),
    "key-left-out": Bug("a key is not in the answer", ("getAuthenticatedUser",)),
    "stamps-in-local-time": Bug(
        "a local time is labelled as UTC", ("createMessage", "listMessages", "retrieveMessage")
    ),
    "escaped-for-html": Bug("texts are escaped for HTML", ("createMessage", "retrieveMessage", "updateMessage")),
    "text-cut-at-255": Bug("a long text is cut to 255 characters", ("createAgent",)),
    "inner-white-space-folded": Bug("white space inside a text is folded", ("createThread",)),
    "characters-of-four-bytes-fail": Bug("an emoji is a 500", ("createThread",)),
    # Writes
    "cached-read": Bug("a read is cached beyond the write", ("retrieveAgent", "updateAgent"), ("deleteAgent",)),
    "saved-before-validated": Bug("a refused update is applied in part", ("updateAgent",)),
    "update-without-where": Bug("an update changes all rows", ("updateThread",), ("createThread",)),
    "update-resets-what-was-not-sent": Bug("an update empties what was not sent", ("updateAgent",)),
    "metadata-replaced-not-merged": Bug("an update replaces an object that is to be merged", ("updateThread",)),
    "field-not-fillable": Bug("an update ignores one field", ("updateMessage",)),
    "flag-is-not-saved": Bug("an update ignores a flag", ("updateWorkspace",)),
    "updated-at-not-touched": Bug("an update leaves updated_at", ("updateMessage",)),
    "update-touches-created-at": Bug("an update moves created_at", ("updateThread",)),
    "files-are-not-saved": Bug("files that are sent become no attachments", ("createMessage",)),
    "delete-goes-too-far": Bug(
        "to delete a message deletes the thread's others", ("deleteMessage",), ("createMessage",)
    ),
    "delete-of-nothing-succeeds": Bug("to delete what is not there is a 204", ("deleteThread",)),
    "children-survive": Bug("an agent's threads survive it", ("deleteAgent",), ("createThread", "retrieveThread")),
    "deleted-rows-are-retrieved": Bug("a softly deleted message is retrieved", ("deleteMessage", "retrieveMessage")),
    "created-is-answered-200": Bug("a create is answered 200", ("createThread",)),
    # Refusals
    "length-not-checked": Bug("a text of any length is taken", ("createThread",)),
    "required-not-checked": Bug("a required field is not checked", ("createMessage",)),
    "choice-not-checked": Bug("an enum's field takes any text", ("createMessage",)),
    "errors-named-in-camel-case": Bug("errors name fields in camelCase", ("createMessage", "createThread")),
    "unknown-agent-is-a-fault": Bug("an unknown agent is a 500", ("retrieveAgent", "updateAgent", "deleteAgent")),
    "refusals-as-a-page": Bug("a 404 is an HTML page", ("retrieveWorkspace", "updateWorkspace", "deleteWorkspace")),
    "no-allow-header": Bug("a 405 names no methods", AGENT, ("deleteAgent",)),
    # Who may
    "tenant-not-looked-at-in-retrieve": Bug("anybody retrieves any thread", ("retrieveThread",)),
    "tenant-not-looked-at-in-update": Bug("anybody updates any thread", ("updateThread",)),
    "tenant-not-looked-at-in-delete": Bug("anybody deletes any message", ("deleteMessage",)),
    "strangers-are-sent-to-a-login-page": Bug("without a token one is redirected", ("getAuthenticatedUser",)),
    "token-survives-logout": Bug("a token is good after logout", ("logout",), ("signIn", "getAuthenticatedUser")),
    "wrong-credentials-are-404": Bug("a sign in with wrong credentials is a 404", ("signIn",)),
}


def is_enabled(name: str) -> bool:
    """Whether the application that answers has this bug."""
    assert name in BUGS, f"no bug {name!r}"
    return bool(current_app.config["BUG"] == name)


# Bugs that the suite does not detect, or detects on another operation -> what the contract lacks.
UNDETECTED_BUGS = {
    "files-are-not-saved": "an extension that documents what `files` become",
}
