"""Pictures that people send: really decoded, and written anew without what else the file may carry."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image, ImageOps

MOST_BYTES = 1024 * 1024
MOST_PIXELS = 16_000_000
"""More would take too much memory to decode: a small file can claim to be very large."""
MOST_AT_ONCE = 2
_AT_ONCE = ThreadPoolExecutor(MOST_AT_ONCE, "pictures")
"""Threads of their own: one picture can take 200 MB, and passwords must not wait behind pictures."""
_MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


@dataclass(frozen=True)
class Picture:
    """A clean picture."""

    content: bytes
    media_type: str


class BadPicture(Exception):  # noqa: N818 - reads as what it is
    """It cannot be taken; `slug` says why."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug


async def clean(content: bytes) -> Picture:
    """Decode a PNG, JPEG or WebP of at most 1 MiB and write it anew: pixels alone, the right way up.

    Raises `BadPicture`: `picture-too-large`, `no-such-picture` for another kind or broken bytes.
    """
    if len(content) > MOST_BYTES:
        raise BadPicture("picture-too-large")
    picture = await asyncio.get_running_loop().run_in_executor(_AT_ONCE, _clean, content)
    if not picture:
        raise BadPicture("picture-too-large")
    return picture


def _clean(content: bytes) -> Picture | None:
    """Write the picture anew; none where it claims to have too many pixels to be decoded at all."""
    try:
        with Image.open(io.BytesIO(content), formats=tuple(_MEDIA_TYPES)) as picture:
            kind = str(picture.format)
            if picture.width * picture.height > MOST_PIXELS:
                return None
            upright = ImageOps.exif_transpose(picture)
            pixels = upright.convert("RGBA" if upright.has_transparency_data and kind != "JPEG" else "RGB")
    except Image.DecompressionBombError:
        return None
    except Exception as error:
        raise BadPicture("no-such-picture") from error
    pixels.info.clear()
    written = io.BytesIO()
    pixels.save(written, kind)
    return Picture(written.getvalue(), _MEDIA_TYPES[kind])
