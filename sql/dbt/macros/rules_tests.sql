{# The rules as a test of dbt: what is an error fails, what is a warning warns. #}

{% test rules(model, key=[], values={}, references=[], final=false, mart=true) %}
{{ config(fail_calc="max(if(severity = 'error', 2, 1))", warn_if="= 1", error_if="= 2") }}
{%- set columns = {} -%}
{%- if execute -%}
  {%- for column in adapter.get_columns_in_relation(model) -%}
    {%- do columns.update({column.name: column.data_type}) -%}
  {%- endfor -%}
{%- endif -%}
{%- set relation = model ~ " final" if final else model -%}
select test, column, severity, found, said
from ({{ rules(relation, columns, key, values, references, local_today(), mart=mart) }})
where found > 0
{% endtest %}
