"""`adieu import-products`: makes devices known to the service that binds them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ops.door import InternalDoor
from ops.errors import UserError

AT_ONCE = 1000
LONGEST = 64


@dataclass(frozen=True)
class Product:
    """A device that was made: what stands on it, what kind it is, and the code in its box."""

    serial: str
    model: str
    pairing_code: str


COLUMNS = tuple(field.name for field in fields(Product))


def read_products(path: Path) -> list[Product]:
    """Read all of a CSV file before anything is sent; UserError names the line that is wrong."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            products = list(_rows(path, csv.DictReader(file, strict=True)))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text") from None
    if not products:
        raise UserError(f"{path} names no product")
    return products


def _rows(path: Path, reader: csv.DictReader[str]) -> Iterator[Product]:
    try:
        if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
            raise UserError(f"{path}: its first line must name the columns {', '.join(missing)}")
        for row in reader:
            yield _product(f"{path}, line {reader.line_num}", row)
    except csv.Error as error:
        raise UserError(f"{path}, after line {reader.line_num}: {error}") from None


def _product(place: str, row: dict[str, str | None]) -> Product:
    values = {column: (row[column] or "").strip() for column in COLUMNS}
    for column, value in values.items():
        if not 1 <= len(value) <= LONGEST:
            raise UserError(f"{place}: {column} must have 1 to {LONGEST} characters")
    return Product(**values)


def import_products(door: InternalDoor, products: Sequence[Product]) -> int:
    """Send them in chunks; one that is known already is replaced, so all of it may be sent again."""
    for start in range(0, len(products), AT_ONCE):
        door.ask("device", "POST", "/products", json=as_body(products[start : start + AT_ONCE]))
    return len(products)


def as_body(products: Sequence[Product]) -> dict[str, object]:
    return {"products": [asdict(product) for product in products]}
