"""Media: the bytes of content over HTTP, where they are and how they are sent."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response

from appdb import ContentRepository
from appdb.models import Content
from appserver.http.problems import ProblemError
from appserver.http.ranges import ByteRange, UnsatisfiableRangeError, matches, parse_range
from appserver.http.sending import BytesResponse

SHOWN_INLINE = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/webp",
        "audio/wav",
        "audio/mpeg",
        "audio/ogg",
        "video/mp4",
        "video/webm",
        "text/plain",
    }
)
"""Media types that a browser may show. All others are downloads: a browser must never run generated content."""
IMMUTABLE = "private, max-age=31536000, immutable"
"""For an address that names a digest: its bytes never change."""
REVALIDATED = "private, no-cache"
"""For an address whose bytes a re-run may replace: a copy is asked for again, and the digest makes that cheap."""
FILE_POLICY = "default-src 'none'; sandbox"


def file_url(content_id: str, sha256: str) -> str:
    """Return the address of the bytes with this digest.

    A re-run stores other bytes under the same id. An address for each version keeps a player from going on with the
    new bytes where the old ones ended.
    """
    return f"{latest_file_url(content_id)}/{sha256}"


def latest_file_url(content_id: str) -> str:
    """Return the address of the bytes that the item has now."""
    return f"/api/contents/{content_id}/file"


def file_response(
    request: Request, content: Content, contents: ContentRepository, *, cache_control: str, download: bool
) -> Response:
    """Return the answer to *request* for the bytes of *content*: all of them, a range, or that the caller has them.

    Raises:
        ProblemError: 416, the range begins behind the end.
    """
    headers = _headers(content, download) | {"Cache-Control": cache_control}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    # Range is defined for GET alone.
    part = _asked_range(request, content, headers["ETag"]) if request.method == "GET" else None
    if part is not None:
        headers["Content-Range"] = part.content_range(content.size)
    wanted = part or ByteRange(start=0, end=content.size)
    headers["Content-Length"] = str(wanted.end - wanted.start)
    status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=content.media_type)
    body = contents.read(content, start=wanted.start, end=wanted.end)
    return BytesResponse(body, status, headers, media_type=content.media_type)


def _headers(content: Content, download: bool) -> dict[str, str]:
    inline = content.media_type in SHOWN_INLINE and not download
    return {
        "ETag": f'"{content.sha256}"',
        "Accept-Ranges": "bytes",
        # Another user of the same browser must not get the bytes from its cache.
        "Vary": "Authorization, Cookie",
        "Content-Disposition": f"{'inline' if inline else 'attachment'}; filename*=UTF-8''{quote(content.filename)}",
        "Content-Security-Policy": FILE_POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _asked_range(request: Request, content: Content, etag: str) -> ByteRange | None:
    condition = request.headers.get("if-range")
    # If-Range: the range is of other bytes when the caller's copy is of an older version, so all are sent.
    if condition is not None and condition.strip() != etag:
        return None
    try:
        return parse_range(request.headers.get("range"), content.size)
    except UnsatisfiableRangeError:
        headers = {"Content-Range": f"bytes */{content.size}"}
        detail = f"The item has {content.size} bytes; ask for a range that begins before its end."
        raise ProblemError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, detail, headers=headers) from None
