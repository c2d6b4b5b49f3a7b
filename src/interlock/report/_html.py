"""From a template in this folder to one HTML file that loads nothing.

Guarantees: everything that a template is given is data and escaped; a name that it asks for and does not get is an
error. What it leaves to the caller: what the page says.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from interlock.errors import missing_extra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from markupsafe import Markup

_OPTION = re.compile(r"(?<!\S)--[a-z-]+")


def render(template: str, filters: Mapping[str, Callable[..., Any]], **values: object) -> str:
    """The page. In its `style` the template writes `{{ css }}`, what all pages share, before its own.

    Raises:
        UsageError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise missing_extra("report", "jinja2") from error
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"marked": marked, **filters}
    folder = resources.files("interlock.report")
    css = Markup(folder.joinpath("base.css").read_text("utf-8"))  # noqa: S704  ours
    return environment.from_string(folder.joinpath(template).read_text("utf-8")).render(css=css, **values)


def marked(text: str) -> Markup:
    """Text whose `quoted` parts become code, and whose options do not break after their dashes; all of it escaped."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:  # an unpaired backtick comes from a name: show it as it is
        return escape(text)
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(p) if index % 2 else _unbroken(escape(p)) for index, p in enumerate(parts))


def _unbroken(escaped: Markup) -> Markup:
    return type(escaped)(_OPTION.sub(r'<span class="option">\g<0></span>', str(escaped)))
