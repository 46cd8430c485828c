{# Rows whose day, or first day of month or week, is in the period that a build of strategy partitions makes anew. #}
{% macro in_period(column) %}({{ column }} >= {{ period_from() }} and {{ column }} < {{ period_to() }}){% endmacro %}
