{# What a unit test gives and expects, as SQL: of our runner and of dbt, so that both compare the same.
   Types are those of the input that stands in the database, or of what the model's SELECT answers. #}

{# Rows of these columns. A column that a row leaves out is null, or what its type has for nothing: '', 0, []. All types
   are read from text, too, but for Bool.
   One table function, not a SELECT a row: a CTE is analysed again wherever it is read. #}
{% macro fixture_rows(rows, types) -%}
{%- set columns = [] -%}
{%- for column, type in types.items() -%}
  {%- do columns.append("`" ~ column ~ "` " ~ type) -%}
{%- endfor -%}
{%- set lines = [] -%}
{%- for row in rows or [{}] -%}
  {%- set cells = {} -%}
  {%- for column, value in row.items() -%}
    {%- set is_word = value is string and "Bool" in types.get(column, "") -%}
    {%- do cells.update({column: {"true": true, "false": false}[value | lower] if is_word else value}) -%}
  {%- endfor -%}
  {%- do lines.append(cells | tojson) -%}
{%- endfor -%}
select * from format(
    JSONEachRow,
    '{{ fixture_escaped(columns | join(", ")) }}',
    '{{ fixture_escaped(lines | join("\n")) }}'
)
{{- " where false" if not rows }}
{%- endmacro %}

{% macro fixture_escaped(text) -%}
{{ text | replace("\\", "\\\\") | replace("'", "\\'") }}
{%- endmacro %}

{# To six decimals: a mean is written .021667. #}
{% macro fixture_compared(column, type) -%}
{%- if "Float" not in type -%}
`{{ column }}`
{%- elif type.startswith("Map(") -%}
mapApply((k, v) -> (k, round(v, 6)), `{{ column }}`)
{%- elif type.startswith("Array(Float") or type.startswith("Array(Nullable(Float") -%}
arrayMap(x -> round(x, 6), `{{ column }}`)
{%- elif type.startswith("Float") or type.startswith("Nullable(Float") -%}
round(`{{ column }}`, 6)
{%- else -%}
`{{ column }}`
{%- endif -%}
{%- endmacro %}

{# What the model says, and what it should: equal rows stand in both as often. A null that is given for what is never null is
   an error, not its type's nothing. #}
{% macro fixture_comparison(actual, expected, types) -%}
{%- for said, sql in [("actual", actual), ("expected", expected)] %}
select
    {%- for column, type in types.items() %}
    {{ fixture_compared(column, type) }} as `{{ column }}`,
    {%- endfor %}
    '{{ said }}' as actual_or_expected
from (
{{ sql }}
)
{{ "union all" if not loop.last }}
{%- endfor %}
settings join_use_nulls = 1, input_format_null_as_default = 0
{%- endmacro %}

{# An input is a subselect here, which takes no FINAL: rows of a test are as after it. #}
{% macro fixture_without_final(sql) -%}
{{ return(modules.re.sub("(?i)(\\b__dbt__cte__\\w+`?(?:\\s+as\\s+\\w+)?)\\s+final\\b", "\\1", sql)) }}
{%- endmacro %}

{# The model's answer, unknown where an outer join finds nothing, as in a build. #}
{% macro fixture_subselect(sql) -%}
(
select * from (
{{ sql }}
)
settings join_use_nulls = 1
)
{%- endmacro %}
