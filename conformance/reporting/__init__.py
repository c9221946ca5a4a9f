"""Reports of a run: one model (`Report`) and one writer per format. Writers format; they decide nothing."""

from collections.abc import Callable, Mapping

from conformance.reporting import html, json_report, junit, markdown, sarif
from conformance.reporting.model import JSON_REPORT_FILE, Report

# File name in the report folder -> the writer of its text.
REPORT_WRITERS: Mapping[str, Callable[[Report], str]] = {
    JSON_REPORT_FILE: json_report.render,
    "junit.xml": junit.render,
    "conformance.md": markdown.render,
    "conformance.html": html.render,
    "conformance.sarif": sarif.render,
}

__all__ = ["REPORT_WRITERS", "Report"]
