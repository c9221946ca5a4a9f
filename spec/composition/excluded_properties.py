"""The properties that a direction excludes: readOnly ones of requests, writeOnly ones of responses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from spec.component_schemas import ComponentSchemas

PROPERTY_KEYWORDS = frozenset({"properties", "patternProperties"})


class PropertyNames(NamedTuple):
    """Names in an object schema and its parts: those excluded, those with a schema, and those that it requires."""

    excluded: frozenset[str] = frozenset()
    defined: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ExcludedProperties:
    """Finds excluded properties by a flag, ``readOnly`` or ``writeOnly``. `cache`: by the pointer of a reference."""

    components: ComponentSchemas
    flag: str
    cache: dict[str, PropertyNames] = field(default_factory=dict)

    def find(self, schema: Any) -> PropertyNames:
        """Return the names in a schema, with those of the parts of `allOf` and of the options of `oneOf` and `anyOf`.

        An option excludes a property if no other option has it without the flag.
        """
        if not isinstance(schema, dict):
            return PropertyNames()
        if "$ref" in schema:
            return self._find_referenced(schema)
        found = [self._find_own(schema), *map(self.find, schema.get("allOf", ()))]
        for keyword in ("oneOf", "anyOf"):
            found.append(_unite_options([self.find(option) for option in schema.get(keyword, ())]))
        return _unite(found)

    def _find_referenced(self, schema: Mapping[str, Any]) -> PropertyNames:
        names = self.cache.get(schema["$ref"])
        if names is None:
            target, _ = self.components.document.dereference(schema, "")
            names = self.cache[schema["$ref"]] = self.find(target)
        return names

    def _find_own(self, schema: Mapping[str, Any]) -> PropertyNames:
        properties = [entry for keyword in PROPERTY_KEYWORDS for entry in schema.get(keyword, {}).items()]
        excluded = (n for n, s in properties if isinstance(s, dict) and self.components.has_flag(s, self.flag))
        required = frozenset(schema.get("required", ()))
        return PropertyNames(frozenset(excluded), frozenset(name for name, _ in properties), required)


def _unite(found: Iterable[PropertyNames]) -> PropertyNames:
    return PropertyNames(*(frozenset().union(*names) for names in zip(*found, strict=True)))


def _unite_options(options: list[PropertyNames]) -> PropertyNames:
    if not options:
        return PropertyNames()
    excluded, defined, required = _unite(options)
    kept = frozenset().union(*(option.defined - option.excluded for option in options))
    return PropertyNames(excluded - kept, defined, required)
