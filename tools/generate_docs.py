"""Writes what is generated from the models: include/schemas/pipeline.schema.json docs/pipeline-reference.md and
docs/changed-settings.md (`make docs`)."""

from __future__ import annotations

from pathlib import Path

from forebay.config import changes, schema

ROOT = Path(__file__).resolve().parent.parent


def generated() -> dict[Path, str]:
    """Path (relative to the project) to content."""
    return {
        Path("include/schemas/pipeline.schema.json"): schema.json_schema_text(),
        Path("docs/pipeline-reference.md"): schema.reference(),
        Path("docs/changed-settings.md"): changes.page(),
    }


def main() -> None:
    for path, text in generated().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
