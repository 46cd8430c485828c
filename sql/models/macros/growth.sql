{# Followers of the last `days` days, one row a profile: its days in order, and the level of each. Days of 0 that are no value (2.3) are left
   out: those of a run of zeros between neighbours of 100 or more, and the newest ones as long as they last less than 3 days.
   Lists, since a profile's days lie together: to compare rows takes three times as long. #}
{% macro follower_series(days) -%}
select
    platform,
    profile_id,
    arrayFilter((day, believed) -> believed, told_dates, are_believed) as dates,
    arrayFilter((level, believed) -> believed, told_levels, are_believed) as levels
from (
    select
        *,
        if(
            has(told_levels, 0),
            arrayMap(
                (level, before, known_before, after) -> not (
                    level = 0
                    and before >= {{ var('false_zero_neighbours') }}
                    and if(after = 0, newest - known_before < {{ var('true_zero_days') }}, after >= {{ var('false_zero_neighbours') }})
                ),
                told_levels,
                arrayFill(level -> level != 0, told_levels),
                arrayFill((day, level) -> level != 0, told_dates, told_levels),
                arrayReverseFill(level -> level != 0, told_levels)
            ),
            arrayMap(level -> true, told_levels)
        ) as are_believed
    from (
        select
            platform,
            profile_id,
            max(date) as newest,
            arraySort(groupArray(date)) as told_dates,
            arraySort((level, day) -> day, groupArray(assumeNotNull(daily.followers)), groupArray(date)) as told_levels
        from {{ ref('mart_profile_daily') }} as daily final
        where date >= {{ local_today() }} - {{ days }}
            and date <= {{ local_today() }}
            and daily.followers is not null
        group by platform, profile_id
    ) as told
) as judged
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
