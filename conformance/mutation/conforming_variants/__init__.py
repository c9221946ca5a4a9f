"""Servers that differ from the mock and satisfy the contract: a failed check on one of them is a false positive.

One of them behaves like a typical Laravel application on MySQL. Each is an ASGI wrapper around the mock. Some differ
from inferred parts of the contract, as plain Laravel does: on them only a blocking failure is a false positive.
"""

import json
from collections.abc import Mapping

from conformance.mutation.conforming_variants import lists, requests, responses, timing
from conformance.mutation.conforming_variants.responses import VariantFactory, change_headers, transform_json
from conformance.mutation.conforming_variants.stated_properties import change_unstated_values
from conformance.mutation.faults import compose
from conformance.results import CheckResult
from conformance.transport.messages import map_leaves


def combine(*factories: VariantFactory) -> VariantFactory:
    """Combine variants; the first is the innermost."""
    return lambda contract, clock: compose(*(factory(contract, clock) for factory in factories))


LARAVEL = combine(
    transform_json(responses.reformat_timestamps(".000000Z")),
    lists.sort_by_collation(lists.strip_accents),
    requests.trim_texts,
    requests.reject_unknown_reference,
    responses.encode_with(responses.encode_like_php),
    change_headers({"x-powered-by": "PHP/8.3", "cache-control": "no-cache, private", "x-ratelimit-limit": "60"}),
)


# Name -> what creates its behavior.
VARIANTS: Mapping[str, VariantFactory] = {
    "Laravel on MySQL": LARAVEL,
    "timestamps with a zero fraction": transform_json(responses.reformat_timestamps(".000000Z")),
    "timestamps without a fraction": transform_json(responses.reformat_timestamps("Z")),
    "timestamps with an offset": transform_json(responses.reformat_timestamps("+00:00")),
    "timestamps in milliseconds": transform_json(responses.reformat_timestamps(".000Z")),
    "keys reversed": transform_json(responses.map_objects(lambda record: dict(reversed(record.items())))),
    "keys sorted": transform_json(responses.map_objects(lambda record: dict(sorted(record.items())))),
    "1.0 for 1": transform_json(lambda body: map_leaves(body, responses.to_float)),
    "indented JSON": responses.encode_with(lambda value: json.dumps(value, indent=4, ensure_ascii=False)),
    "JSON encoded by PHP": responses.encode_with(responses.encode_like_php),
    "JSON in ASCII": responses.encode_with(json.dumps),
    "media type with charset": change_headers({"content-type": "application/json; charset=utf-8"}),
    "media type in capitals": change_headers({"content-type": "Application/JSON"}),
    "framework headers": change_headers({"x-powered-by": "PHP/8.3", "set-cookie": "a=b; HttpOnly"}),
    "rate limit headers": change_headers({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "59"}),
    "cache headers": change_headers({"cache-control": "no-cache, private", "vary": "Accept"}),
    "no mock headers": change_headers({"x-mock-reason": None, "x-request-id": None}),
    "WWW-Authenticate header": change_headers({"www-authenticate": 'Bearer realm="api"'}),
    "other error messages": transform_json(responses.map_objects(responses.reword_errors)),
    "Allow in another order": responses.reorder_allow_header,
    "links with encoded brackets": transform_json(responses.encode_brackets),
    "trimmed texts": requests.trim_texts,
    "422 for an unknown reference": requests.reject_unknown_reference,
    "booleans of a query as true and false": requests.accept_booleans("true", "false"),
    "booleans of a query as 1 and 0": requests.accept_booleans("1", "0"),
    "60 requests per minute": lambda contract, clock: timing.RateLimiter(clock),
    "1 s latency": timing.delay_responses(1.0),
    "5 s latency": timing.delay_responses(5.0),
    "writes visible after 2 s": lambda contract, clock: timing.DelayedWrites(contract, clock, 2.0),
    "totals updated after 2 s": lambda contract, clock: timing.DelayedTotals(clock, 2.0),
    "other identifiers": requests.replace_identifiers,
    "concurrent client": lambda contract, clock: requests.ConcurrentClient(7),
    "busy concurrent client": lambda contract, clock: requests.ConcurrentClient(3),
    "collation without case and accents": lists.sort_by_collation(lists.strip_accents),
    "collation without case": lists.sort_by_collation(str.casefold),
    "default order oldest first": lists.sort_by_collation(None),
    "simplePaginate without totals": lists.remove_totals,
    "422 for malformed JSON": requests.reject_malformed_json,
    "decimals as strings": change_unstated_values(responses.format_decimal),
    "empty texts stored as null": requests.convert_empty_texts,
    "offsets of instants dropped": requests.drop_offsets,
    "search finds new records after 1 s": lambda contract, clock: timing.DelayedSearch(contract, clock, 1.0),
}
# Variants on which contract gaps are no false positives: they differ from inferred parts of the contract.
WITH_CONTRACT_GAPS = frozenset(
    {
        "simplePaginate without totals",
        "422 for malformed JSON",
        "decimals as strings",
        "empty texts stored as null",
        "offsets of instants dropped",
    }
)
# Variants that normalize texts, and the check that reports it without blocking.
TRIMMING = frozenset({"Laravel on MySQL", "trimmed texts"})
TEXT_CHECK = "text-stored-as-sent"


def is_false_positive(variant: str, result: CheckResult) -> bool:
    """Whether the failure of a check on a variant is wrong."""
    may_have_gap = variant in WITH_CONTRACT_GAPS or (variant in TRIMMING and result.requirement.check == TEXT_CHECK)
    return not may_have_gap or result.is_blocking()
