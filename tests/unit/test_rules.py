"""What models say of rules: whoever reads a number in a description finds the rule in docs/rules.md."""

import re

from gcc import statements

DOCS = statements.SQL.parent / "docs" / "rules.md"
CITED = re.compile(r"\b(2\.\d+)(?: to (2\.\d+))?")


def test_every_rule_that_a_model_names_is_written() -> None:
    written = set(re.findall(r"^## (2\.\d+) ", DOCS.read_text(), re.M))
    cited = {
        number
        for file in (statements.SQL / "models").rglob("*.sql")
        for line in file.read_text().splitlines()
        if line.startswith("--") or "{#" in line
        for found in re.findall(r"\([^()]*\)|rules? 2\.[\d., and]*", line)
        for numbers in CITED.findall(found)
        for number in numbers
        if number
    }
    assert len(cited) >= 15 and cited - written == set()
