{# Letters and digits alone, in one case: a.b_c and ABC are one name. '' where there are none. #}
{% macro letters_of(text) -%}
replaceRegexpAll(normalizeUTF8NFKCCasefold(ifNull({{ text }}, '')), '[^\\p{L}\\p{N}]', '')
{%- endmacro %}

{# So many rounds in which labels spread along edges (a, b, score, label of a): NAME_1 to NAME_rounds, from NAME_0. Edges stand both
   ways, and every account has one to itself. Each round turns its edges round: b's label is the least of all that lead to it.
   So a round reads the one before it once, and needs no join. label_before is right in edges of an account to itself. #}
{% macro spread_labels(name, rounds) -%}
{% for number in range(1, rounds + 1) -%}
{{ name }}_{{ number }} as (
    select end as a, start as b, score, min(start_label) over (partition by end) as label, start_label as label_before
    from (select a as start, b as end, score, label as start_label from {{ name }}_{{ number - 1 }})
){{ ',\n' if not loop.last }}
{%- endfor %}
{%- endmacro %}
