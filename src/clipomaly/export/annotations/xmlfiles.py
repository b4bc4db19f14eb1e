"""XML as other tools read and write it; a file that declares a document type is refused.

Without a document type there are no entities to expand or to fetch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from clipomaly.errors import DataError

__all__ = ["element", "parse_xml", "xml_text"]


def xml_text(text: str) -> str:
    """A text without the characters that XML cannot hold even when they are escaped.

    >>> xml_text("a\\x00b")
    'a\\ufffdb'
    """
    return "".join(c if _holds(c) else "\ufffd" for c in text)


def _holds(c: str) -> bool:
    return c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"


def element(tag: str, values: Mapping[str, object], end: str = "/>") -> str:
    """An opening tag with its attributes.

    >>> element("label", {"name": 'a "b" & <c>'})
    '<label name=\\'a "b" &amp; &lt;c&gt;\\'/>'
    """
    return "".join([f"<{tag}", *(f" {k}={quoteattr(xml_text(str(v)))}" for k, v in values.items()), end])


def parse_xml(data: bytes, path: Path) -> ElementTree.Element:
    """The root of an XML file that somebody else wrote."""
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise DataError(f"{path} declares a document type, which may hide traps: remove that line")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as error:
        raise DataError(f"{path} is not valid XML ({error}): export it again") from error
    return builder.close()
