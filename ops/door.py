"""The internal door of the services, as operations use it: their own token, and one clear line when it fails."""

from __future__ import annotations

from typing import Any

import httpx

from ops.errors import UserError
from ops.installation import Installation


class InternalDoor:
    """Asks the services of a running installation; never touches a database of theirs."""

    def __init__(self, installation: Installation) -> None:
        self._addresses = installation.find_running().services
        headers = {"X-Internal-Token": installation.internal_token}
        self._client = httpx.Client(headers=headers, timeout=30)

    @property
    def services(self) -> list[str]:
        """Name the services there are."""
        return list(self._addresses)

    def ask(self, service: str, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401 - any JSON
        """Ask one service; UserError with its own words where it says no, or does not answer."""
        if service not in self._addresses:
            raise UserError(f"there is no service {service}: {', '.join(self._addresses)}")
        try:
            answer = self._client.request(method, f"{self._addresses[service]}/internal{path}", **request)
        except httpx.TransportError:
            raise UserError(f"{service} does not answer") from None
        if answer.is_error:
            raise UserError(f"{service}: {_said(answer)}")
        return answer.json() if answer.content else None


def _said(answer: httpx.Response) -> str:
    if answer.headers.get("content-type") != "application/problem+json":
        return str(answer.status_code)
    problem = answer.json()
    return f"{problem['title']}: {problem['detail']}" if problem["detail"] else problem["title"]
