{# What our runner tells a model, told by dbt. A watermark is taken from what was built last, less five minutes: of the
   model itself its newest row, of another one (a table, which is made anew by each build) when it was made; 1970 when it
   never was, and in unit tests, as there. #}

{% macro watermark(name=none) -%}
{%- if name is none or name == model.name -%}
(select max(built_at) - interval 5 minute from {{ this }})
{%- elif model.resource_type == "unit_test" -%}
toDateTime64('1970-01-01 00:00:00', 6, 'UTC')
{%- else -%}
(select max(metadata_modification_time) - interval 5 minute from system.tables where database = '{{ this.schema }}' and name = '{{ name }}')
{%- endif -%}
{%- endmacro %}

{# The open months: one is frozen on day 3 of the next. #}
{% macro period_from() -%}
{%- if is_incremental() -%} toStartOfMonth({{ local_today() }} - 2) {%- else -%} toDate('1970-01-01') {%- endif -%}
{%- endmacro %}

{% macro period_to() -%}
{%- if is_incremental() -%} addMonths(toStartOfMonth({{ local_today() }} + 1), 1) {%- else -%} toDate('2149-01-01') {%- endif -%}
{%- endmacro %}

{# As the adapter's own, but that months which came out empty are emptied: of those it would keep the old rows. #}
{% macro clickhouse__incremental_insert_overwrite(existing_relation, partition_by, is_distributed=False) %}
  {%- set fresh = existing_relation.incorporate(path={"identifier": existing_relation.identifier ~ "__dbt_fresh"}) -%}
  {{ drop_relation_if_exists(fresh) }}
  {% call statement('main') %}
    {{ get_create_table_as_sql(False, fresh, sql) }}
  {% endcall %}
  {%- set due -%}
    select partition_id, max(table = '{{ fresh.identifier }}') as built, substring(concat(partition_id, '01'), 1, 8) as day
    from system.parts
    where active
      and database = '{{ existing_relation.schema }}'
      and table in ('{{ existing_relation.identifier }}', '{{ fresh.identifier }}')
    group by partition_id
    having built
      or (day >= formatDateTime({{ period_from() }}, '%Y%m%d') and day < formatDateTime({{ period_to() }}, '%Y%m%d'))
  {%- endset -%}
  {%- set changes = [] -%}
  {%- for partition, built, day in run_query(due).rows -%}
    {%- do changes.append(("replace partition id '" ~ partition ~ "' from " ~ fresh) if built else ("drop partition id '" ~ partition ~ "'")) -%}
  {%- endfor -%}
  {%- if changes -%}
    {% call statement('replace_partitions') %}
      alter table {{ existing_relation }} {{ changes | join(", ") }}
    {% endcall %}
  {%- endif -%}
  {% do adapter.drop_relation(fresh) %}
{% endmacro %}
