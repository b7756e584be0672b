"""Print an `.env` for docker-compose.yaml with fresh secrets: `python tools/compose_env.py > .env` (the file is
git-ignored)."""

import base64
import os
import secrets
import uuid


def main() -> None:
    """One line for each variable that docker-compose.yaml requires."""
    values = {
        "AIRFLOW_UID": str(os.getuid()),
        "AIRFLOW_EXECUTOR": "LocalExecutor",
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW_API_SECRET": secrets.token_urlsafe(32),
        "AIRFLOW_JWT_SECRET": secrets.token_urlsafe(32),
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "REDIS_PASSWORD": secrets.token_urlsafe(24),
        "S3_ACCESS_KEY": secrets.token_hex(10),
        "S3_SECRET_KEY": secrets.token_urlsafe(30),
        "KAFKA_CLUSTER_ID": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
    }
    for name, value in values.items():
        print(f"{name}={value}")


if __name__ == "__main__":
    main()
