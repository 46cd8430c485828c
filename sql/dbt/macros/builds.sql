{# What our runner tells a model, told by dbt. A watermark is taken from what was built last, less five minutes. #}

{% macro watermark(model=none) -%}
{%- set built = this if model is none else api.Relation.create(schema=this.schema, identifier=model) -%}
(select max(built_at) - interval 5 minute from {{ built }})
{%- endmacro %}

{# The open months: one is frozen on day 3 of the next. #}
{% macro period_from() -%}
{%- if is_incremental() -%} toStartOfMonth({{ local_today() }} - 2) {%- else -%} toDate('1970-01-01') {%- endif -%}
{%- endmacro %}

{% macro period_to() -%}
{%- if is_incremental() -%} addMonths(toStartOfMonth({{ local_today() }} + 1), 1) {%- else -%} toDate('2149-01-01') {%- endif -%}
{%- endmacro %}
