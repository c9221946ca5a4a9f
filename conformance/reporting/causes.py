"""Causes of failures that the response itself shows: reports state them before the violation that follows."""

from conformance.results import CheckResult, Status

HTML_STARTS = (b"<!doctype html", b"<html")


def find_cause(result: CheckResult) -> str:
    """Describe what is wrong with the last response as a whole, or ""."""
    if result.status is not Status.FAILED or not result.evidence:
        return ""
    response = result.evidence[-1].response
    content = response.content
    if content[:200].lstrip().lower().startswith(HTML_STARTS):
        return f"got an HTML page for {response.status}"
    if response.read_problem or not response.json_problem or not content or response.headers.get("content-encoding"):
        return ""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"the body of {response.status} is not UTF-8: byte 0x{content[error.start]:02x} at {error.start}"
    return ""
