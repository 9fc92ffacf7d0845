"""The few icons of the frame, drawn here on a grid of 24: strokes only, in the colour of the text."""

from __future__ import annotations

MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#021c51"/>'
    '<path d="M6 23V10l7 8 6-8 7 8v5M6 10h20M6 23h20" fill="none" stroke="#bbd1fd" stroke-width="2.500" stroke-linejoin="round" stroke-linecap="round"/></svg>'
)
PATHS = {
    "today": "M4 11 12 4l8 7M6 9.5V20h12V9.5M10 20v-6h4v6",
    "map": "M9 4 3 6.5V20l6-2.5 6 2.5 6-2.5V4l-6 2.5L9 4ZM9 4v13.5M15 6.5V20",
    "data": "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3ZM4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
    "dashboards": "M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6",
    "act": "M12 3 2.5 20h19L12 3ZM12 10v4M12 17v.5",
    "manage": "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
    "search": "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM15.5 15.5 21 21",
    "bell": "M6 16V10a6 6 0 0 1 12 0v6l2 2H4l2-2ZM10 20.5h4",
    "help": "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18ZM9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M12 16.5v.5",
    "person": "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM4 20.5c.8-3.6 4-5.5 8-5.5s7.2 1.900 8 5.5",
    "menu": "M4 7h16M4 12h16M4 17h16",
    "close": "M6 6l12 12M18 6 6 18",
    "down": "M6 9l6 6 6-6",
    "right": "M9 6l6 6-6 6",
    "left": "M15 6l-6 6 6 6",
    "up": "M6 15l6-6 6 6",
    "check": "M5 12.500l4.500 4.500L19 7.500",
    "plus": "M12 5v14M5 12h14",
    "download": "M12 4v11M7.500 10.500 12 15l4.500-4.500M4 20h16",
    "upload": "M12 15V4M7.500 8.500 12 4l4.500 4.500M4 20h16",
    "filter": "M4 5h16l-6 7.500V19l-4 1.500v-8L4 5Z",
    "edit": "M4 20l1-4L16 5l3 3L8 19l-4 1ZM14 7l3 3",
    "trash": "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.500 11v5M13.500 11v5",
    "link": "M10 14a4 4 0 0 0 6 .500l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.500l-3 3a4 4 0 0 0 6 6l1-1",
    "clock": "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18ZM12 7v5.500l3.500 2",
    "place": "M12 21s7-6.500 7-11.500a7 7 0 0 0-14 0C5 14.500 12 21 12 21ZM12 7a2.500 2.500 0 1 1 0 5 2.500 2.500 0 0 1 0-5Z",
    "table": "M4 5h16v14H4V5ZM4 10h16M4 14.500h16M10 10v9",
    "eye": "M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12ZM12 9a3 3 0 1 1 0 6 3 3 0 0 1 0-6Z",
    "undo": "M8 5 4 9l4 4M4 9h10a6 6 0 0 1 0 12h-3",
    "file": "M6 3h8l4 4v14H6V3ZM14 3v4h4",
    "people": "M9 5a3.500 3.500 0 1 1 0 7 3.500 3.500 0 0 1 0-7ZM2.500 19.500c.600-3 3-4.500 6.500-4.500s5.900 1.500 6.500 4.500M16 5.500a3.500 3.500 0 0 1 0 6.500M18 15.500c2 .600 3.100 2 3.500 4",
    "lock": "M6 11h12v9H6v-9ZM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
    "globe": "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18ZM3 12h18M12 3c3 2.500 4 5.500 4 9s-1 6.500-4 9c-3-2.500-4-5.500-4-9s1-6.500 4-9Z",
    "share": "M12 15V4M8 7.500 12 4l4 3.500M6 11H4v9h16v-9h-2",
    "external": "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
}


def svg(name: str, size: int = 20) -> str:
    """The icon as an element that screen readers skip: the words beside it say what it is.

    A name that is not drawn here is shown as an arrow.
    """
    return (
        f'<svg class="icon" width="{int(size)}" height="{int(size)}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75"'
        f' stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false"><path d="{PATHS.get(name, PATHS["right"])}"/></svg>'
    )
