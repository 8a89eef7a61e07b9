"""HTML pages as a browser or a screen reader parses them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Page:
    """Tags in order, URLs of links and resources, number of images without alternative text, and the text."""

    tags: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    images_without_text: int = 0
    text: str = ""

    @classmethod
    def of(cls, path):
        page = cls()
        parser = HTMLParser()

        def start(tag, attributes):
            values = dict(attributes)
            page.tags.append(tag)
            names = ("src", "href", "xlink:href", "action", "data", "poster", "srcset")
            page.urls.extend(values[name] for name in names if name in values)
            page.images_without_text += tag == "img" and not values.get("alt")

        def add(text):
            page.text += text

        parser.handle_starttag, parser.handle_data = start, add
        parser.feed(path.read_text(encoding="utf-8"))
        return page
