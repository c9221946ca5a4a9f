"""Explains a response: which operation, parameters, record, rule and part of the contract it follows from."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from starlette.types import Send

from mock_server.control.client_findings import ClientFindings
from mock_server.sandbox.clock import format_timestamp
from mock_server.sandbox.rules import parse_json_body
from mock_server.store.schema import parse_key
from mock_server.web.context import RequestContext, send_response
from mock_server.web.faults import CapturedResponse
from mock_server.web.request_log import RequestLog
from mock_server.web.rule_responses import RULE_HEADER
from spec.model import Operation


@dataclass(frozen=True, slots=True)
class ResponseExplainer:
    """Sends the explanation of a response instead of it. `findings`: parses the query as the validation does."""

    findings: ClientFindings
    request_log: RequestLog

    async def respond(self, context: RequestContext, captured: CapturedResponse, send: Send) -> None:
        """Send the explanation as JSON, with status 200; the status of the response is in it."""
        recorded = (context.status, context.response_headers, context.response_body)
        body = orjson.dumps(self.explain(context, captured))
        context.response_headers = [(n, v) for n, v in captured.headers if not n.startswith(b"content-")]
        context.notes = ()  # captured.headers contains them
        await send_response(send, context, HTTPStatus.OK, body)
        context.status, context.response_headers, context.response_body = recorded

    def explain(self, context: RequestContext, captured: CapturedResponse) -> dict[str, Any]:
        match = self.findings.routes.find(context.raw_path)
        operation = match.route.find_operation(context.method) if match else None
        path_parameters = match.path_parameters if match else {}
        rule = dict(captured.headers).get(RULE_HEADER)
        return {
            "request_id": context.id,
            "operation": operation.id if operation else None,
            "contract": self.locate(operation.pointer) if operation else None,
            "sandbox": context.sandbox.name,
            "time": format_timestamp(context.now),
            "user": context.viewer.user_key if context.viewer else None,
            "parameters": {
                "path": path_parameters,
                "query": self.findings.parse_query(operation, context.raw_query) if operation else {},
                "body": context.body,
            },
            "ignored": context.notes,
            "record": self._describe_record(context, operation, list(path_parameters.values())),
            "source": context.source.value,
            "rule": rule.decode() if rule else None,
            "error": self._describe_rejection(context),
            "response": {
                "status": captured.status,
                "headers": {name.decode("latin-1"): value.decode("latin-1") for name, value in captured.headers},
                "body": parse_json_body(captured.body),
            },
        }

    def _describe_rejection(self, context: RequestContext) -> dict[str, Any] | None:
        if context.rejection is None:
            return None
        reason, detail, location = context.rejection
        return {"reason": reason, "detail": detail, "contract": self.locate(location) if location else None}

    def locate(self, pointer: str) -> dict[str, Any]:
        """Return a place in the contract."""
        return {"pointer": pointer, "file": self.request_log.contract_path, "line": self.request_log.find_line(pointer)}

    def _describe_record(
        self, context: RequestContext, operation: Operation | None, path_values: list[str]
    ) -> dict[str, Any] | None:
        """Return the record that the path names, and whether it exists."""
        if operation is None or operation.resource is None or not path_values:
            return None
        key = parse_key(context.sandbox.contract.resources[operation.resource], path_values[0])
        record = None if key is None else context.sandbox.store.get(operation.resource, key)
        return {"resource": operation.resource, "key": path_values[0], "exists": record is not None}
