"""Generate files below /storage from their path, so that every media URL of a sandbox works offline.

The same path always generates the same bytes. `SystemRoutes` decides which paths exist.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

import orjson

_NAME_PATTERN = r"[a-z0-9_-][a-z0-9._~-]{0,199}"
_PATH_PATTERN = re.compile(rf"(?:{_NAME_PATTERN}/){{0,8}}({_NAME_PATTERN}?)(?:\.([a-z0-9]{{1,5}}))?", re.ASCII)
_FILLER_WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord"),
    *("grove", "haven", "iris", "kelp", "lark", "maple"),
)


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    content: bytes
    media_type: str


def generate_file(path: str) -> GeneratedFile | None:
    """Generate the file at a path below /storage (``users/ada.svg``); None for a malformed path."""
    match = _PATH_PATTERN.fullmatch(path.lower()) if len(path) <= 300 else None
    if match is None:
        return None
    media_type, render = _RENDERERS.get(match[2] or "txt", ("application/octet-stream", _render_text))
    return GeneratedFile(render(match[1], hashlib.sha256(path.encode()).digest()), media_type)


def _render_svg(stem: str, digest: bytes) -> bytes:
    """Draw initials on a coloured background; a pattern for a name without letters (a UUID)."""
    hue = digest[0] * 360 // 256
    words = [word for word in re.split(r"[._~-]+", stem) if word.isalpha()]
    if words and not re.fullmatch(r"[0-9a-f-]{32,36}", stem):
        initials = escape("".join(word[0] for word in words[:2]).upper())
        inner = (
            '<text x="128" y="128" dy=".35em" text-anchor="middle" font-family="Helvetica,Arial,sans-serif" '
            f'font-size="104" font-weight="600" fill="#fff">{initials}</text>'
        )
    else:
        cells = ((x, y) for y in range(5) for x in range(5) if _is_cell_filled(digest, x, y))
        inner = f'<path fill="#fff" d="{"".join(f"M{28 + 40 * x} {28 + 40 * y}h40v40h-40z" for x, y in cells)}"/>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256" width="256" height="256">'
        f'<rect width="256" height="256" fill="hsl({hue},55%,45%)"/>{inner}</svg>\n'
    ).encode()


def _is_cell_filled(digest: bytes, x: int, y: int) -> bool:
    """Whether a cell of the symmetric five by five pattern is filled."""
    return digest[1 + 3 * y + min(x, 4 - x)] % 2 == 1


def _render_png(stem: str, digest: bytes) -> bytes:
    """Draw the pattern of the SVG with 224 by 224 pixels in two colours."""
    background = bytes(90 + value % 120 for value in digest[20:23])
    rows = []
    for y in range(-1, 6):
        filled = (0 <= y < 5 and 0 <= x < 5 and _is_cell_filled(digest, x, y) for x in range(-1, 6))
        bits = "".join(("1" if cell else "0") * 32 for cell in filled)
        rows.append((b"\0" + int(bits, 2).to_bytes(28, "big")) * 32)

    def encode_chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 224, 224, 1, 3, 0, 0, 0)
    pixels = zlib.compress(b"".join(rows), 9)
    parts = ((b"IHDR", header), (b"PLTE", background + b"\xff\xff\xff"), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(encode_chunk(kind, content) for kind, content in parts)


def _make_title(stem: str) -> str:
    return " ".join(word for word in re.split(r"[._~-]+", stem) if word).capitalize()


def _make_sentences(digest: bytes) -> list[str]:
    words = [_FILLER_WORDS[value % len(_FILLER_WORDS)] for value in digest]
    return [" ".join(words[start : start + 8]).capitalize() + "." for start in range(0, len(words), 8)]


def _render_text(stem: str, digest: bytes) -> bytes:
    return "\n".join((_make_title(stem), "", *_make_sentences(digest), "")).encode()


def _render_markdown(stem: str, digest: bytes) -> bytes:
    return b"# " + _render_text(stem, digest)


def _render_html(stem: str, digest: bytes) -> bytes:
    lines = "".join(f"<p>{sentence}</p>\n" for sentence in _make_sentences(digest))
    return f"<!doctype html>\n<title>{_make_title(stem)}</title>\n<h1>{_make_title(stem)}</h1>\n{lines}".encode()


def _make_rows(digest: bytes) -> list[tuple[int, str, int]]:
    return [(n + 1, _FILLER_WORDS[value % len(_FILLER_WORDS)], value * 7) for n, value in enumerate(digest[:12])]


def _render_csv(stem: str, digest: bytes) -> bytes:
    rows = (f"{number},{name},{amount}" for number, name, amount in _make_rows(digest))
    return "\r\n".join(("number,name,amount", *rows, "")).encode()


def _render_json(stem: str, digest: bytes) -> bytes:
    rows = [{"number": number, "name": name, "amount": amount} for number, name, amount in _make_rows(digest)]
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps({"title": _make_title(stem), "rows": rows}, option=option)


def _render_pdf(stem: str, digest: bytes) -> bytes:
    """Write one page with a title and four lines."""
    lines = [_make_title(stem), *_make_sentences(digest)]
    text_operators = " T* ".join(f"({line[:90]}) Tj" for line in lines)
    stream = f"BT /F1 16 Tf 24 TL 72 760 Td {text_operators} ET".encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    output = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(output))
        output += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    xref_offset = len(output)
    output += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    output += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    output += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, xref_offset)
    return bytes(output)


_RENDERERS: Mapping[str, tuple[str, Callable[[str, bytes], bytes]]] = {
    **dict.fromkeys(("svg", "jpg", "jpeg", "gif", "webp"), ("image/svg+xml", _render_svg)),
    "png": ("image/png", _render_png),
    "txt": ("text/plain; charset=utf-8", _render_text),
    "md": ("text/markdown; charset=utf-8", _render_markdown),
    "html": ("text/html; charset=utf-8", _render_html),
    "csv": ("text/csv; charset=utf-8", _render_csv),
    "json": ("application/json", _render_json),
    "pdf": ("application/pdf", _render_pdf),
}
