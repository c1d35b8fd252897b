"""What an expression of SQLAlchemy Core says about rows in memory; what is not known here is refused by its type."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch
from typing import Any

from sqlalchemy import BindParameter, ColumnClause, FunctionFilter, Label, Select
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    ClauseElement,
    ClauseList,
    CollectionAggregate,
    ExpressionClauseList,
    False_,
    Grouping,
    Null,
    True_,
    UnaryExpression,
)
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import ScalarSelect

Row = Mapping[str, Any]
Scope = Mapping[str, Row]
"""The row at hand of each table, alias or subquery, by its name."""
Values = Mapping[str, Any]
"""What a statement is executed with, by the name of the parameter."""
Meaning = Callable[[Scope, Values], Any]
"""What an expression comes to; `None` is SQL's NULL."""

HERE = "the transaction"
"""Under this name the values hold the transaction: its time, and what reads a subquery."""


def _unless_null(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda one, other: None if one is None or other is None else function(one, other)


_BINARY: Mapping[Any, Callable[[Any, Any], Any]] = {
    **{
        each: _unless_null(each)
        for each in (
            operators.eq,
            operators.ne,
            operators.lt,
            operators.le,
            operators.gt,
            operators.ge,
            operators.add,
            operators.sub,
        )
    },
    operators.is_: lambda one, other: one is other,
    operators.is_not: lambda one, other: one is not other,
    operators.is_distinct_from: operator.ne,
    operators.in_op: _unless_null(lambda one, many: one in many),
    operators.not_in_op: _unless_null(lambda one, many: one not in many),
}


@singledispatch
def meaning(element: Any) -> Meaning:
    """Translate an expression once; what comes back is asked for each row."""
    msg = f"{type(element).__name__} is not known in memory: {element}"
    raise NotImplementedError(msg)


@meaning.register(ColumnClause)
def _(element: ColumnClause[Any]) -> Meaning:
    table, name = str(element.table.name), str(element.name)  # type: ignore[union-attr] # every column here has one
    return lambda scope, _: scope[table][name]


@meaning.register(BindParameter)
def _(element: BindParameter[Any]) -> Meaning:
    key, value = element.key, element.effective_value
    return lambda _, values: values.get(key, value)


@meaning.register(Label)
def _(element: Label[Any]) -> Meaning:
    return meaning(element.element)


@meaning.register(Grouping)
def _(element: Grouping[Any]) -> Meaning:
    return meaning(element.element)


@meaning.register(True_)
@meaning.register(False_)
@meaning.register(Null)
def _(element: ClauseElement) -> Meaning:
    value = True if isinstance(element, True_) else False if isinstance(element, False_) else None
    return lambda _, __: value


@meaning.register(BinaryExpression)
def _(element: BinaryExpression[Any]) -> Meaning:
    left, right = meaning(element.left), meaning(element.right)
    if isinstance(element.right, CollectionAggregate):
        return lambda scope, values: left(scope, values) in right(scope, values)
    if getattr(element.operator, "opstring", None) == "||":
        return lambda scope, values: [*left(scope, values), *right(scope, values)]
    apply = _BINARY[element.operator]
    return lambda scope, values: apply(left(scope, values), right(scope, values))


@meaning.register(CollectionAggregate)
def _(element: CollectionAggregate[Any]) -> Meaning:
    return meaning(element.element)


@meaning.register(ClauseList)
def _(element: ClauseList) -> Meaning:
    parts = [meaning(each) for each in element.clauses]
    return lambda scope, values: tuple(part(scope, values) for part in parts)


@meaning.register(ExpressionClauseList)
def _(element: ExpressionClauseList[Any]) -> Meaning:
    parts = [meaning(each) for each in element.clauses]
    all_of = {operators.and_: True, operators.or_: False}[element.operator]

    def of_all(scope: Scope, values: Values) -> bool | None:
        unknown = False
        for part in parts:
            found = part(scope, values)
            if found is None:
                unknown = True
            elif bool(found) is not all_of:
                return not all_of
        return None if unknown else all_of

    return of_all


@meaning.register(UnaryExpression)
def _(element: UnaryExpression[Any]) -> Meaning:
    if element.operator is operators.exists:
        query = _inside(element)
        return lambda scope, values: values[HERE].holds(query, scope, values)
    inner = meaning(element.element)
    match element.operator:
        case operators.inv | operators.is_false:
            return lambda scope, values: None if (found := inner(scope, values)) is None else not found
        case operators.is_true:
            return inner
    return meaning.dispatch(object)(element)


def _inside(element: Any) -> Any:
    """Find the query that an EXISTS asks."""
    while not isinstance(element, Select):
        element = element.element
    return element


@meaning.register(ScalarSelect)
def _(element: ScalarSelect[Any]) -> Meaning:
    query = element.element
    return lambda scope, values: [row[0] for row in values[HERE].select(query, scope, values)]


@meaning.register(FunctionElement)
def _(element: FunctionElement[Any]) -> Meaning:
    parts = [meaning(each) for each in element.clauses]
    match element.name:
        case "now":
            return lambda _, values: values[HERE].now
        case "coalesce":
            return lambda scope, values: next(
                (found for part in parts if (found := part(scope, values)) is not None), None
            )
    return meaning.dispatch(object)(element)


def counts(element: Any) -> Callable[[Sequence[Scope], Values], Any] | None:
    """Translate what counts a group of rows, or finds the latest; none where the expression is no such thing."""
    while isinstance(element, Label):
        element = element.element
    if isinstance(element, FunctionFilter):
        kept = meaning(element.criterion)
        return lambda scopes, values: sum(bool(kept(scope, values)) for scope in scopes)
    if isinstance(element, FunctionElement) and element.name == "count":
        return lambda scopes, _: len(scopes)
    if isinstance(element, FunctionElement) and element.name == "max":
        of = meaning(next(iter(element.clauses)))
        return lambda scopes, values: max(
            (found for scope in scopes if (found := of(scope, values)) is not None), default=None
        )
    return None
