"""An analyst's agent on DuckDB and Parquet: asks its own SQL, and sees what its policy leaves of the files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parents[1]))

from playing import Company, Day  # beside the examples, not in a package

HERE = Path(__file__).parent
FILES = (
    ("visits/2026-10.parquet", "SELECT range AS visit_id, range % 3 AS campaign_id, 'canary-' || range % 50 AS person,"
     " 'canary street ' || range AS address, 10 + range % 60 AS seconds, TIMESTAMP '2026-10-01' AS at FROM range(600)"),
    ("visits/2026-11.parquet", "SELECT range + 600 AS visit_id, range % 3 AS campaign_id, 'canary-' || range % 50 AS"
     " person, 'canary street' AS address, 20 + range % 60 AS seconds, TIMESTAMP '2026-11-01' AS at FROM range(300)"),
    ("campaigns.parquet", "SELECT * FROM (VALUES (0, 'north', 'shoes'), (1, 'north', 'laces'), (2, 'south', 'canary'))"
     " AS c (campaign_id, team, name)"),
)  # fmt: skip


def main() -> int:
    """Make the files, serve the policy, ask."""
    day = Day()
    with tempfile.TemporaryDirectory(prefix="lake-") as name:
        folder = Path(name) / "home"
        shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "README.md", "__pycache__"))
        (folder / "lake" / "visits").mkdir(parents=True)
        for path, query in FILES:
            duckdb.sql(f"COPY ({query}) TO '{folder / 'lake' / path}' (FORMAT parquet)")
        company = Company(folder, {})
        company.run("accept", "--yes")
        with company.serving():
            agent = company.open("analyst", "campaign-figures", team="north")
            day.chapter("An analyst of the team north, over Parquet files")
            figures = "SELECT c.name, count(*) AS n, avg(v.seconds) AS seconds FROM visits v JOIN campaigns c"
            figures += " USING (campaign_id) GROUP BY c.name ORDER BY c.name"
            day.see("adds up its own campaigns", agent.sql(figures), '[["laces", 300')
            day.see(
                "of others it sees no name", agent.sql("SELECT name FROM campaigns WHERE campaign_id = 2"), '"rows": []'
            )
            day.see("counts people", agent.sql("SELECT count(DISTINCT person) FROM visits"), "[[50]]")
            day.see("without their names", agent.sql("SELECT person FROM visits LIMIT 3"), '"rows"')
            day.see("sees no address", agent.sql("SELECT address FROM visits"), "field_not_granted")
            day.see("and reads no other file", agent.sql("SELECT * FROM read_csv('/etc/passwd')"), "code")
        return day.end()


if __name__ == "__main__":
    raise SystemExit(main())
