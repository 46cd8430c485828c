{# Now, as models may know it: a unit test sets the var. Never now() or today() themselves, but for built_at. #}
{% macro now_at() %}{% if var('now') %}toDateTime64('{{ var("now") }}', 6, 'UTC'){% else %}now64(6, 'UTC'){% endif %}{% endmacro %}

{% macro local_today() %}toDate({{ now_at() }}, '{{ var("timezone") }}'){% endmacro %}
