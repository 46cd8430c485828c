{# What reach is worth, in var('currency'). #}

{# Media value (2.15): what so many views, likes and comments would cost as advertising. Of what is unknown nothing is counted;
   null where all is. #}
{% macro media_value(views, likes, comments) -%}
if(
    coalesce({{ views }}, {{ likes }}, {{ comments }}) is null,
    null,
    ifNull({{ views }}, 0) / 1000 * {{ var('emv_per_1000_views') }} + ifNull({{ likes }}, 0) * {{ var('emv_per_like') }} + ifNull({{ comments }}, 0) * {{ var('emv_per_comment') }}
)
{%- endmacro %}

{# CPM of a paid post: what a thousand of its views cost in India, by platform and kind. Chosen: the middle of what agencies'
   public rate cards of 2025 ask (100 to 300 rupees for a reel). #}
{% macro prices_per_1000_views() %}{{ return([
    ('INSTAGRAM', 'reel', 200),
    ('INSTAGRAM', 'video', 200),
    ('YOUTUBE', 'video', 400),
    ('YOUTUBE', 'short', 120),
    ('YOUTUBE', 'live', 250),
]) }}{% endmacro %}

{# How a category's CPM differs from that of all; one that is not named: 1. Chosen: advertisers of these pay more, or less. #}
{% macro price_factors_of_categories() %}{{ return([
    ('finance', 1.6), ('business', 1.4), ('tech', 1.3), ('beauty', 1.2), ('fashion', 1.1), ('entertainment', 0.8), ('music', 0.8),
]) }}{% endmacro %}

{# How a country's CPM differs from India's; one that is not named: 1. Chosen, after YouTube's public ratios of CPM. #}
{% macro price_factors_of_countries() %}{{ return([
    ('US', 5), ('GB', 4), ('CA', 4), ('AU', 4), ('DE', 3.5), ('AE', 2.5), ('SG', 2.5), ('BR', 1.3), ('PK', 0.7), ('BD', 0.7), ('NP', 0.7),
]) }}{% endmacro %}

{# A list of (name, factor) as an expression of the name. #}
{% macro factor_of(name, factors) -%}
multiIf({% for value, factor in factors %}{{ name }} = '{{ value }}', {{ factor }}, {% endfor %}1)
{%- endmacro %}

{% macro price_per_1000_views(platform, kind) -%}
multiIf({% for name, type, price in prices_per_1000_views() %}{{ platform }} = '{{ name }}' and {{ kind }} = '{{ type }}', {{ price }}, {% endfor %}null)
{%- endmacro %}
