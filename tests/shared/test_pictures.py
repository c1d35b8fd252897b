"""Pictures are really decoded and written anew; what is none, or too much, is refused."""

from __future__ import annotations

import asyncio
import io
import struct
import threading
import zlib
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from shared.pictures import MOST_AT_ONCE, MOST_BYTES, BadPicture, clean

NOTE = "52.52 N, 13.40 E"


def written(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def decoded(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def with_exif(kind: str, orientation: int = 1) -> bytes:
    picture = Image.new("RGB", (4, 2), "teal")
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = NOTE
    return written(picture, kind, exif=exif)


def with_text() -> bytes:
    metadata = PngInfo()
    metadata.add_text("Comment", NOTE)
    return written(Image.new("RGB", (4, 2)), "PNG", pnginfo=metadata)


def claims(width: int, height: int) -> bytes:
    """Make a small PNG that says it is very large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("content", [with_exif("JPEG"), with_exif("PNG"), with_exif("WEBP"), with_text()])
async def test_nothing_but_pixels_is_kept(content: bytes) -> None:
    assert NOTE.encode() in content
    kept = await clean(content)

    assert NOTE.encode() not in kept.content
    again = decoded(kept.content)
    assert not again.getexif()
    assert "exif" not in again.info
    assert again.size == (4, 2)


async def test_a_picture_taken_sideways_is_kept_upright() -> None:
    assert decoded((await clean(with_exif("JPEG", orientation=6))).content).size == (2, 4)


@pytest.mark.parametrize(
    "content",
    [
        written(Image.new("P", (2, 2)), "PNG", transparency=0),
        written(Image.new("CMYK", (2, 2)), "JPEG"),
        written(Image.new("I;16", (2, 2)), "PNG"),
        written(Image.new("L", (2, 2)), "JPEG"),
        written(Image.new("1", (2, 2)), "PNG"),
        written(Image.new("LA", (2, 2)), "PNG"),
        written(Image.new("RGBA", (2, 2)), "WEBP", save_all=True, append_images=[Image.new("RGBA", (2, 2), "red")]),
        written(Image.new("RGB", (2, 2)), "PNG", save_all=True, append_images=[Image.new("RGB", (2, 2), "red")]),
        written(Image.new("RGB", (2, 2)), "PNG") + b"<script>alert(1)</script>",
    ],
)
async def test_every_sort_of_picture_becomes_a_plain_one(content: bytes) -> None:
    kept = await clean(content)

    assert decoded(kept.content).mode in ("RGB", "RGBA")
    assert getattr(decoded(kept.content), "n_frames", 1) == 1
    assert b"script" not in kept.content


@pytest.mark.parametrize(
    ("content", "slug"),
    [
        (b"", "no-such-picture"),
        (b"\x89PNG\r\n\x1a\n", "no-such-picture"),
        (with_text()[:-30], "no-such-picture"),
        (with_exif("JPEG")[:100], "no-such-picture"),
        (b"\xff\xd8\xff" + b"x" * 1000, "no-such-picture"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "no-such-picture"),
        (written(Image.new("RGB", (2, 2)), "GIF"), "no-such-picture"),
        (written(Image.new("RGB", (2, 2)), "TIFF"), "no-such-picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no-such-picture"),
        (b"x" * (MOST_BYTES + 1), "picture-too-large"),
        (claims(50_000, 50_000), "picture-too-large"),
        (claims(2**31 - 1, 2**31 - 1), "picture-too-large"),
        (claims(5_000, 5_000), "picture-too-large"),
        (claims(0, 0), "no-such-picture"),
        (claims(100, 100), "no-such-picture"),
    ],
)
async def test_what_is_no_picture_or_too_much_is_refused(content: bytes, slug: str) -> None:
    with pytest.raises(BadPicture) as refused:
        await clean(content)

    assert refused.value.slug == slug


async def test_of_many_at_once_a_few_are_decoded_and_nothing_else_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoding, free = threading.Semaphore(0), threading.Event()
    real = Image.open

    def slow(*args: Any, **options: Any) -> Image.Image:  # noqa: ANN401 - as the real one
        decoding.release()
        assert free.wait(timeout=20)
        return real(*args, **options)

    monkeypatch.setattr(Image, "open", slow)
    waiting = [asyncio.create_task(clean(with_text())) for _ in range(50)]
    try:
        for _ in range(MOST_AT_ONCE):
            while not decoding.acquire(blocking=False):  # noqa: ASYNC110 - a thread decides
                await asyncio.sleep(0.01)
        assert not decoding.acquire(blocking=False)
        assert await asyncio.to_thread(str, "a password is checked") == "a password is checked"
    finally:
        free.set()
    assert len(await asyncio.gather(*waiting)) == 50
