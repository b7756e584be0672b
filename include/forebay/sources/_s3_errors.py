"""The border to boto3: its errors as forebay's, by what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from forebay.errors import (
    ConfigError,
    FatalError,
    FileChangedError,
    ForebayError,
    NotAuthorizedError,
    SourceUnavailableError,
)

_TRY_AGAIN = "trying again may help"
_CHECK_LOGIN = (
    "check the connection's keys, and that its principal may list, read and, to archive or delete, write there"
)

_DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_CONFIG = {
    "AuthorizationHeaderMalformed": "set `region` to the bucket's",
    "IllegalLocationConstraintException": "set `region` to the bucket's",
    "InvalidBucketName": "a path is `bucket/key`",
    "NoSuchBucket": "create it, or correct the path: it begins with the bucket's name",
    "PermanentRedirect": "set `region` to the bucket's",
}
_AGAIN = {
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
}


@contextmanager
def s3_errors(uri: str, doing: str) -> Iterator[None]:
    """Translate every error of botocore, urllib3 and the socket below; forebay's own pass."""
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ForebayError:
        raise
    except boto.ClientError as error:
        raise of_response(error.response, uri, doing) from error
    except (
        boto.NoCredentialsError,
        boto.CredentialRetrievalError,
        boto.PartialCredentialsError,
        boto.TokenRetrievalError,
    ) as error:
        raise NotAuthorizedError(
            f"{doing} `{uri}`: {_first(error)} (name a `connection`, or set AWS_ACCESS_KEY_ID and its secret)", uri=uri
        ) from error
    except (boto.ParamValidationError, boto.NoRegionError, boto.ProfileNotFound, ValueError) as error:
        raise ConfigError(f"{doing} `{uri}`: {_first(error)} (correct the path or the connection)", uri=uri) from error
    except (boto.BotoCoreError, HTTPError, OSError) as error:
        raise SourceUnavailableError(f"{doing} `{uri}`: {_first(error)} ({_TRY_AGAIN})", uri=uri) from error


def of_response(response: Any, uri: str, doing: str) -> ForebayError:
    """The error that an S3 answer means; HEAD has no body, so its status must do."""
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    start = f"{doing} `{uri}`"
    if code in _CONFIG:
        return ConfigError(f"{start}: the store says `{code}` ({_CONFIG[code]})", uri=uri, code=code)
    if code in _AGAIN or status >= 500 or status == 429:
        return SourceUnavailableError(f"{start}: the store says `{code}` ({_TRY_AGAIN})", uri=uri, code=code)
    if code in _DENIED or status in {401, 403}:
        if code == "InvalidObjectState":
            return FatalError(f"{start}: it lies in an archive tier (restore the object first)", uri=uri, code=code)
        return NotAuthorizedError(f"{start}: the store says `{code}` ({_CHECK_LOGIN})", uri=uri, code=code)
    if status in {404, 412, 409}:
        cause = "it is gone" if status == 404 else "another version lies there by now"
        return FileChangedError(f"{start}: {cause} (run again: it is listed anew)", uri=uri, code=code)
    return FatalError(
        f"{start}: the store says `{code}`, HTTP {status} (look it up in the store's documentation)", uri=uri, code=code
    )


def _first(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__
