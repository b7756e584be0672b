"""A notice as JSON to a URL."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from typing import Any

from pydantic import Field, model_validator

from forebay.contracts import Notice, Notifier, Settings
from forebay.errors import RetryableError


class WebhookConfig(Settings):
    """Where the notice is sent."""

    url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """An address that is no secret."""
    url_from: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the address, where that is a secret (most chat services' addresses are)."""
    timeout: float = Field(default=10, gt=0, le=60)
    """How many seconds the other side may take."""

    @model_validator(mode="after")
    def _one_of_them(self) -> WebhookConfig:
        if (self.url is None) == (self.url_from is None):
            raise ValueError("write either `url` or `url_from`")
        return self


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A notice goes where the configuration says, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Webhook(Notifier[WebhookConfig]):
    """Sends the notice as a JSON object by HTTP POST; `text` in it is a sentence, which chat services show. Any 2xx is
    taken for an answer."""

    Config = WebhookConfig

    def tell(self, notice: Notice) -> None:
        url = self.config.url or os.environ.get(self.config.url_from or "", "")
        if not url.startswith(("http://", "https://")):
            raise RetryableError(
                f"sending a notice: environment variable `{self.config.url_from}` holds no http address (set it)"
            )
        body = json.dumps(notice.to_json() | {"text": notice.text}, ensure_ascii=False).encode()
        try:
            request = urllib.request.Request(
                url, body, {"Content-Type": "application/json", "User-Agent": "forebay"}, method="POST"
            )
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=self.config.timeout):
                return
        except urllib.error.HTTPError as error:
            raise RetryableError(f"sending a notice: the webhook answered {error.code}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise RetryableError(f"sending a notice: the webhook cannot be reached: {type(error).__name__}") from None
