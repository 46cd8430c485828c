{# What a unit test gives and expects, as SQL: of our runner and of dbt, so that both compare the same.
   Types are those of the input that stands in the database, or of what the model's SELECT answers. #}

{% macro fixture_value(value, type) -%}
{%- if value is none -%}
cast(null as {{ type }})
{%- elif value is string -%}
cast('{{ value | replace("\\", "\\\\") | replace("'", "\\'") }}' as {{ type }})
{%- elif value is mapping or value is sequence -%}
JSONExtract('{{ value | tojson | replace("\\", "\\\\") | replace("'", "\\'") }}', '{{ type | replace("'", "\\'") }}')
{%- else -%}
cast({{ value | lower }} as {{ type }})
{%- endif -%}
{%- endmacro %}

{# Rows of these columns. A column that a row leaves out is null, or what its type has for nothing: '', 0, []. #}
{% macro fixture_rows(rows, types) -%}
{%- for row in rows or [{}] %}
select
    {%- for column, type in types.items() %}
    {% if column in row %}{{ fixture_value(row[column], type) }}
    {%- else %}defaultValueOfTypeName('{{ type | replace("'", "\\'") }}'){% endif %} as `{{ column }}`{{ "," if not loop.last }}
    {%- endfor %}
{{ "union all" if not loop.last }}
{%- endfor %}
{{ "where false" if not rows }}
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

{# What the model says, and what it should: equal rows stand in both as often. #}
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
