{# A unit test, as our runner has it: types of what the model answers, inputs without FINAL, floats to six decimals. #}
{%- materialization unit, adapter='clickhouse' -%}
  {%- set expected_rows = config.get('expected_rows') or [] -%}
  {%- set actual = fixture_without_final(sql) -%}
  {%- set types = {} -%}
  {%- for column in adapter.get_column_schema_from_query(fixture_subselect(actual) | trim) -%}
    {%- if not expected_rows or column.name in expected_rows[0] -%}
      {%- do types.update({column.name: column.data_type}) -%}
    {%- endif -%}
  {%- endfor -%}
  {#- dbt takes no answer without rows: where none are expected, there is one of nothing on both sides. -#}
  {%- if not expected_rows -%}
    {%- set expected_rows = [{}] -%}
    {%- set actual = "select * from (\n" ~ actual ~ "\n)\nunion all\n" ~ fixture_rows([{}], types) -%}
  {%- endif -%}
  {% call statement('main', fetch_result=True) -%}
    {{ fixture_comparison(actual, fixture_rows(expected_rows, types), types) }}
  {%- endcall %}
  {{ return({'relations': []}) }}
{%- endmaterialization -%}

{% macro get_fixture_sql(rows, column_name_to_data_types) -%}
{%- set types = {} -%}
{%- for column in adapter.get_columns_in_relation(this) -%}
  {%- do types.update({column.name: column.data_type}) -%}
{%- endfor -%}
{#- `this` before its first build. -#}
{%- if not types -%}
  {%- for column in rows[0] -%}
    {%- do types.update({column: {"built_at": "DateTime64(6, 'UTC')", "date": "Date"}.get(column, "Nullable(String)")}) -%}
  {%- endfor -%}
{%- endif -%}
{{ fixture_rows(rows, types) }}
{%- endmacro %}
