"""The names under which a stage is asked questions: a view of its rows, and the column of row numbers."""

from __future__ import annotations

import sqlalchemy as sa

ROW = "__row"
VIEW = "rows"
ROWS = sa.table(VIEW, sa.column(ROW))
