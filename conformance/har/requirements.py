"""The checks of recorded traffic: id and requirement."""

from conformance.checks.validation import responses

REQUIREMENTS = {
    "request-matches-contract": "A successful request is valid by the contract.",
    "path-is-documented": "The contract documents every path and method that is used.",
    "parameter-is-documented": "The contract documents every query parameter that is sent.",
    **{check.id: check.requirement for check in responses.RESPONSE_CHECKS},
}
