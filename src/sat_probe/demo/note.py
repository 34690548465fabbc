"""Lines of text between the components."""

from __future__ import annotations

import html


def note(text: str) -> str:
    """A line as HTML that screen readers announce when it changes; the text never becomes markup."""
    return f'<p class="sat-note" role="status">{html.escape(text)}</p>'
