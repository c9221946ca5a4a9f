"""Report as Markdown for a comment on a pull request.

Texts of the target and the contract are in code spans and fences longer than any run of backticks in them, where
GitHub interprets no HTML, mention, issue number or link. Blocks that exceed the size limit are omitted.
"""

import re

from conformance.reporting.model import Report
from conformance.reporting.templating import render_report

MAX_BYTES = 60_000  # GitHub rejects a comment of more than 65,536 characters
LIMITS = {
    "table_rows": 25,  # of blocking failures
    "message_chars": 240,  # of a message in a table or list
    "list_entries": 15,
    "other_results": 20,  # further failures of a group, by name
}
LAST_REQUEST_NOTE = "The last request; alone it may return another response, since the run deletes its records:"
BLOCK_END = "\x1e"  # ends a block of the template; the redaction removes control characters from all texts
_TICKS = re.compile("`+")


def render(report: Report) -> str:
    """Return the Markdown text, at most `MAX_BYTES` long."""
    text = render_report(
        "report.md.j2",
        report,
        limits=LIMITS,
        code=code_span,
        fence=code_block,
        end=BLOCK_END,
        last_request_note=LAST_REQUEST_NOTE,
    )
    blocks = [block for part in text.split(BLOCK_END) if (block := part.strip("\n"))]
    bytes_left = MAX_BYTES - 200
    included: list[str] = []
    for block in blocks:
        bytes_left -= len(block.encode("utf-8", "replace")) + 2
        if bytes_left < 0:
            omitted = len(blocks) - len(included)
            included.append(f"*Truncated: {omitted} more parts are in the other reports of this run.*")
            break
        included.append(block)
    return "\n\n".join(included) + "\n"


def code_span(text: str) -> str:
    """Return the text as a code span that it cannot close, also in a table."""
    text = " ".join(text.split())
    if not text:
        return ""
    ticks = "`" * (1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    padding = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{ticks}{padding}{text}{padding}{ticks}".replace("|", "\\|")


def code_block(text: str, language: str = "") -> str:
    """Return the text as a fenced code block that it cannot close."""
    ticks = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    return f"{ticks}{language}\n{text}\n{ticks}"
