{# Days of the last `days` whose 0 followers are no value (2.3): a run of zeros between neighbours of 100 or more, or the
   newest one as long as it lasts less than 3 days. One row a day. Zeros are rare: only who has one is looked at. #}
{% macro false_zeros(days) -%}
select platform, profile_id, date
from (
    select
        platform,
        profile_id,
        date,
        followers,
        anyLast(nullIf(followers, 0)) over earlier as before,
        any(nullIf(followers, 0)) over later as after,
        maxIf(toNullable(date), followers > 0) over earlier as known_before,
        max(date) over whole as newest
    from {{ ref('mart_profile_daily') }} as daily final
    where date >= {{ local_today() }} - {{ days }}
        and date <= {{ local_today() }}
        and followers is not null
        and (platform, profile_id) in (
            select platform, profile_id from {{ ref('mart_profile_daily') }}
            where followers = 0 and date >= {{ local_today() }} - {{ days }}
        )
    window
        whole as (partition by platform, profile_id),
        earlier as (partition by platform, profile_id order by date rows between unbounded preceding and current row),
        later as (partition by platform, profile_id order by date rows between current row and unbounded following)
) as days
where followers = 0
    and before >= {{ var('false_zero_neighbours') }}
    and if(after is null, newest - known_before < {{ var('true_zero_days') }}, after >= {{ var('false_zero_neighbours') }})
{%- endmacro %}

{# The smallest difference that YouTube tells: it rounds subscribers down to three digits. #}
{% macro youtube_step(subscribers) -%}
if({{ subscribers }} < 1000, 1, exp10(floor(log10({{ subscribers }})) - 2))
{%- endmacro %}

{# Who is compared with whom (2.6): from so many followers on. Null below 1,000. #}
{% macro follower_bucket(followers) -%}
multiIf(
    {{ followers }} >= 1000000, '1M',
    {{ followers }} >= 500000, '500k',
    {{ followers }} >= 100000, '100k',
    {{ followers }} >= 50000, '50k',
    {{ followers }} >= 10000, '10k',
    {{ followers }} >= 5000, '5k',
    {{ followers }} >= 1000, '1k',
    null
)
{%- endmacro %}

{# The grade of a percentile (2.6). #}
{% macro grade_of(percentile) -%}
multiIf({{ percentile }} is null, null, {{ percentile }} >= .9, 'A', {{ percentile }} >= .7, 'B', {{ percentile }} >= .4, 'C', {{ percentile }} >= .15, 'D', 'E')
{%- endmacro %}
