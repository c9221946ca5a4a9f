"""Servers that differ from the mock and satisfy the contract: a failed check on one of them is a false positive.

One of them behaves like a typical Laravel application on MySQL. Each is an ASGI wrapper around the mock.
"""

import json
from dataclasses import dataclass

from conformance.mutation.conforming_variants import lists, requests, responses, timing
from conformance.mutation.conforming_variants.responses import VariantFactory, change_headers, transform_json
from conformance.mutation.faults import compose


@dataclass(frozen=True, slots=True)
class Variant:
    """A conforming server. `make_fault`: creates its behavior, given the contract and the mock's clock."""

    name: str
    make_fault: VariantFactory


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


VARIANTS: tuple[Variant, ...] = (
    Variant("Laravel on MySQL", LARAVEL),
    Variant("timestamps with a zero fraction", transform_json(responses.reformat_timestamps(".000000Z"))),
    Variant("timestamps without a fraction", transform_json(responses.reformat_timestamps("Z"))),
    Variant("timestamps with an offset", transform_json(responses.reformat_timestamps("+00:00"))),
    Variant("timestamps in milliseconds", transform_json(responses.reformat_timestamps(".000Z"))),
    Variant("keys reversed", transform_json(responses.map_objects(lambda record: dict(reversed(record.items()))))),
    Variant("keys sorted", transform_json(responses.map_objects(lambda record: dict(sorted(record.items()))))),
    Variant("1.0 for 1", transform_json(responses.to_floats)),
    Variant("indented JSON", responses.encode_with(lambda value: json.dumps(value, indent=4, ensure_ascii=False))),
    Variant("JSON encoded by PHP", responses.encode_with(responses.encode_like_php)),
    Variant("JSON in ASCII", responses.encode_with(json.dumps)),
    Variant("media type with charset", change_headers({"content-type": "application/json; charset=utf-8"})),
    Variant("media type in capitals", change_headers({"content-type": "Application/JSON"})),
    Variant("framework headers", change_headers({"x-powered-by": "PHP/8.3", "set-cookie": "a=b; HttpOnly"})),
    Variant("rate limit headers", change_headers({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "59"})),
    Variant("cache headers", change_headers({"cache-control": "no-cache, private", "vary": "Accept"})),
    Variant("no mock headers", change_headers({"x-mock-reason": None, "x-request-id": None})),
    Variant("WWW-Authenticate header", change_headers({"www-authenticate": 'Bearer realm="api"'})),
    Variant("other error messages", transform_json(responses.map_objects(responses.reword_errors))),
    Variant("Allow in another order", responses.reorder_allow_header),
    Variant("links with encoded brackets", transform_json(responses.encode_brackets)),
    Variant("trimmed texts", requests.trim_texts),
    Variant("422 for an unknown reference", requests.reject_unknown_reference),
    Variant("60 requests per minute", lambda contract, clock: timing.RateLimiter(clock)),
    Variant("1 s latency", timing.delay_responses(1.0)),
    Variant("5 s latency", timing.delay_responses(5.0)),
    Variant("writes visible after 2 s", lambda contract, clock: timing.DelayedWrites(contract, clock, 2.0)),
    Variant("totals updated after 2 s", lambda contract, clock: timing.DelayedTotals(clock, 2.0)),
    Variant("other identifiers", requests.replace_identifiers),
    Variant("concurrent client", lambda contract, clock: requests.ConcurrentClient(7)),
    Variant("busy concurrent client", lambda contract, clock: requests.ConcurrentClient(3)),
    Variant("collation without case and accents", lists.sort_by_collation(lists.strip_accents)),
    Variant("collation without case", lists.sort_by_collation(str.casefold)),
    Variant("default order oldest first", lists.sort_by_collation(None)),
)
