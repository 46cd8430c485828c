-- description: One row per profile that was seen within the last 104 days: its followers (v) and their growth over 7, 30 and 90 days by
--   rule 2.3: (v - b) / b, where b is the value that many days ago, between its neighbours where that day has none.
--   A 0 among hundreds is no value. YouTube tells three digits: what is less than one step is no growth.
-- materialized: table
-- tags: hourly
-- unique_key: platform, profile_id
with false_zeros as (
    {{ false_zeros(var('growth_days')) }}
),
days as (
    select platform, profile_id, date, followers
    from {{ ref('mart_profile_daily') }} as daily final
    where date >= {{ local_today() }} - {{ var('growth_days') }}
        and date <= {{ local_today() }}
        and followers is not null
        and if(followers = 0, (platform, profile_id, date) not in (select platform, profile_id, date from false_zeros), true)
),
-- Of each span: the value of its first day, the last one before that day and the first one after it.
neighbours as (
    select
        platform,
        profile_id,
        max(date) as last_date,
        argMax(days.followers, days.date) as v,
        {%- for span in [7, 30, 90] %}
        {%- set day = local_today() ~ ' - ' ~ span %}
        countIf(days.date <= {{ day }}) as before_{{ span }},
        maxIf(days.date, days.date <= {{ day }}) as date_before_{{ span }},
        argMaxIf(days.followers, days.date, days.date <= {{ day }}) as v_before_{{ span }},
        countIf(days.date >= {{ day }}) as after_{{ span }},
        minIf(days.date, days.date >= {{ day }}) as date_after_{{ span }},
        argMinIf(days.followers, days.date, days.date >= {{ day }}) as v_after_{{ span }}{{ ',' if not loop.last }}
        {%- endfor %}
    from days
    group by platform, profile_id
),
bases as (
    select
        platform,
        profile_id,
        last_date,
        v,
        {%- for span, age_days in [(7, 3), (30, 7), (90, 14)] %}
        {%- set day = local_today() ~ ' - ' ~ span %}
        multiIf(
            before_{{ span }} = 0, null,
            date_before_{{ span }} = {{ day }}, toFloat64(v_before_{{ span }}),
            after_{{ span }} > 0 and date_after_{{ span }} - date_before_{{ span }} <= {{ var('growth_gap_days') }},
            v_before_{{ span }} + (v_after_{{ span }} - v_before_{{ span }}) * ({{ day }} - date_before_{{ span }}) / (date_after_{{ span }} - date_before_{{ span }}),
            {{ day }} - date_before_{{ span }} <= {{ age_days }}, toFloat64(v_before_{{ span }}),
            null
        ) as b_{{ span }},
        if({{ local_today() }} - last_date <= {{ age_days }}, v, null) as v_{{ span }}{{ ',' if not loop.last }}
        {%- endfor %}
    from neighbours
)
select
    platform,
    profile_id,
    last_date,
    v as followers,
    {%- for span in [7, 30, 90] %}
    multiIf(
        b_{{ span }} is null or b_{{ span }} = 0, null,
        platform = 'YOUTUBE' and abs(v_{{ span }} - b_{{ span }}) < {{ youtube_step('b_' ~ span) }}, 0,
        (v_{{ span }} - b_{{ span }}) / b_{{ span }}
    ) as growth_{{ span }}d,
    {%- endfor %}
    (v_30 - b_30) / 30 as per_day_30
from bases
-- Days lie in the order of profiles, one of which is held at a time; and only zeros are looked up.
settings optimize_aggregation_in_order = 1, short_circuit_function_evaluation = 'force_enable'
