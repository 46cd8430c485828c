{# The last known value of each column in each group, one row a group: `columns` are (name, expression), what is null says nothing.
   A window reads a table in the order in which it lies, if that begins with key and order: argMaxIf over as many groups takes
   five times as long, and memory for all of them. `order`: equal ones are told apart by its last column. #}
{% macro last_known(relation, key, order, columns, where='true') -%}
{%- set names = key | map('first') | join(', ') -%}
{%- set group = key | map('last') | join(', ') -%}
select
    {{ names }},
    {%- for name, expression in columns %}
    {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
from (
    select
        {%- for name, expression in key %}
        {{ expression }} as {{ name }},
        {%- endfor %}
        {%- for name, expression in columns %}
        anyLast({{ expression }}) over until_then as {{ name }},
        {%- endfor %}
        leadInFrame(true, 1, false) over (partition by {{ group }} order by {{ order }} rows between current row and 1 following) as is_followed
    from {{ relation }}
    where {{ where }}
    window until_then as (partition by {{ group }} order by {{ order }} rows between unbounded preceding and current row)
) as known
where not known.is_followed
{%- endmacro %}
