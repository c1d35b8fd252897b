"""A file of products is read whole before anything is sent; what is wrong with it is said by its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops.errors import UserError
from ops.products import Product, read_products


def written(path: Path, content: bytes) -> Path:
    file = path / "products.csv"
    file.write_bytes(content)
    return file


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeffmodel,serial,note,pairing_code\r\nPurifier,S1,x, c1 \r\n".encode())
    assert read_products(file) == [Product(serial="S1", model="Purifier", pairing_code="c1")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "its first line must name the columns serial, model, pairing_code"),
        (b"serial,model\nS1,M\n", "must name the columns pairing_code"),
        (b"serial,model,pairing_code\n", "names no product"),
        (b"serial,model,pairing_code\nS1,M,c\nS2,,c\n", "line 3: model must have 1 to 64 characters"),
        (b"serial,model,pairing_code\nS1,M\n", "line 2: pairing_code must have"),
        (b"serial,model,pairing_code\n" + b"S" * 65 + b",M,c\n", "line 2: serial must have"),
        (b'serial,model,pairing_code\n"S1,M,c\n', "after line 1: unexpected end of data"),
        (b"serial,model,pairing_code\n\xff,M,c\n", "is not UTF-8 text"),
    ],
)
def test_a_bad_file_is_refused_in_words(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        read_products(written(tmp_path, content))


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file or directory"):
        read_products(tmp_path / "none.csv")
