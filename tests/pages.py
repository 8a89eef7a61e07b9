"""What a browser and a screen reader would take from a page."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Page:
    """Tags in order, addresses that would be fetched or followed, images without a text, and the text."""

    tags: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    images_without_text: int = 0
    text: str = ""

    @classmethod
    def of(cls, path):
        page = cls()
        parser = HTMLParser()

        def start(tag, attributes):
            given = dict(attributes)
            page.tags.append(tag)
            names = ("src", "href", "xlink:href", "action", "data", "poster", "srcset")
            page.addresses.extend(given[name] for name in names if name in given)
            page.images_without_text += tag == "img" and not given.get("alt")

        def add(text):
            page.text += text

        parser.handle_starttag, parser.handle_data = start, add
        parser.feed(path.read_text(encoding="utf-8"))
        return page
