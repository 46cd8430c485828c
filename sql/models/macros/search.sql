{# Columns that search takes from the marts of accounts as they are. #}
{% macro search_figures() %}{{ return([
    'avg_likes', 'avg_comments', 'avg_views', 'engagement_rate', 'er_by_views', 'posts_used',
    'growth_7d', 'growth_30d', 'growth_90d', 'posts_per_week', 'grade', 'er_percentile', 'bucket',
    'category', 'category_basis', 'language', 'language_basis', 'country', 'country_basis', 'city', 'city_basis',
    'gender', 'gender_basis', 'age_band',
    'audience_gender', 'audience_age', 'audience_country', 'audience_city', 'audience_language', 'audience_basis',
    'fake_share', 'credibility', 'aqs', 'anomalies_90d',
    'sponsored_share', 'paid_performance', 'emv_per_post', 'price_low', 'price_mid', 'price_high',
]) }}{% endmacro %}

{# An audience's shares of one kind as tokens in cumulative tens. The millionth is for .3, which is a little less in binary. #}
{% macro audience_tokens(kind) -%}
arrayFlatten(arrayMap(
    (value, share) -> arrayMap(step -> concat('{{ kind }}:', value, ':', toString(step)), range(10, toUInt32(floor(share * 10 + .000001)) * 10 + 1, 10)),
    mapKeys(accounts.audience_{{ kind }}), mapValues(accounts.audience_{{ kind }})
))
{%- endmacro %}
