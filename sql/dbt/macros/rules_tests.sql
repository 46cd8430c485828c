{# The rules as tests of dbt: what is an error fails, what is a warning warns. #}

{% test rules(model, key=[], values={}, references=[], final=false, mart=true) %}
{{ rules_found(model, key, values, references, final, mart, "error") }}
{% endtest %}

{% test rules_warned(model, key=[], values={}, references=[], final=false, mart=true) %}
{{ config(severity="warn") }}
{{ rules_found(model, key, values, references, final, mart, "warn") }}
{% endtest %}

{% macro rules_found(model, key, values, references, final, mart, severity) -%}
{%- set columns = {} -%}
{%- if execute -%}
  {%- for column in adapter.get_columns_in_relation(model) -%}
    {%- do columns.update({column.name: column.data_type}) -%}
  {%- endfor -%}
{%- endif -%}
{%- set relation = model ~ " final" if final else model -%}
select test, column, found, said
from ({{ rules(relation, columns, key, values, references, local_today(), mart=mart) }})
where found > 0 and severity = '{{ severity }}'
{%- endmacro %}
