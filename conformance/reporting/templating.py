"""Jinja2 templates of the reports, in the folder ``templates``."""

from functools import cache
from typing import Any


def render_template(name: str, **context: Any) -> str:
    """Render a template; values are escaped in templates named ``*.html.j2``. Undefined names raise an error."""
    return str(_environment().get_template(name).render(**context))


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # imported lazily: most commands need no template

    return Environment(
        loader=PackageLoader("conformance.reporting"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
