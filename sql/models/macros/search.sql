{# Columns that search takes from the marts of accounts as they are. #}
{% macro search_figures() %}{{ return([
    'avg_likes', 'avg_comments', 'avg_views', 'engagement_rate', 'er_by_views', 'posts_used',
    'growth_7d', 'growth_30d', 'growth_90d', 'posts_per_week', 'grade', 'er_percentile', 'bucket',
    'category', 'category_basis', 'language', 'language_basis', 'country', 'country_basis', 'city', 'city_basis',
    'gender', 'gender_basis', 'age_band',
    'sponsored_share', 'paid_performance', 'emv_per_post', 'price_low', 'price_mid', 'price_high',
]) }}{% endmacro %}
