-- description: One row per profile that was seen within the last 104 days: its followers (v) and their growth over 7, 30 and 90 days by
--   rule 2.3: (v - b) / b, where b is the value that many days ago, between its neighbours where that day has none.
--   A 0 among hundreds is no value. YouTube tells three digits: what is less than one step is no growth.
-- materialized: table
-- tags: hourly
-- unique_key: platform, profile_id
with series as (
    {{ follower_series(var('growth_days')) }}
),
-- Of each span: the value of its first day, the last one before that day and the first one after it.
neighbours as (
    select
        platform,
        profile_id,
        dates[-1] as last_date,
        levels[-1] as v,
        {%- for span in [7, 30, 90] %}
        {%- set day = local_today() ~ ' - ' ~ span %}
        arrayCount(date -> date <= {{ day }}, dates) as before_{{ span }},
        dates[before_{{ span }}] as date_before_{{ span }},
        levels[before_{{ span }}] as v_before_{{ span }},
        arrayCount(date -> date >= {{ day }}, dates) as after_{{ span }},
        dates[-toInt64(after_{{ span }})] as date_after_{{ span }},
        levels[-toInt64(after_{{ span }})] as v_after_{{ span }}{{ ',' if not loop.last }}
        {%- endfor %}
    from series
    where notEmpty(dates)
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
-- Days lie in the order of profiles, one of which is held at a time; and only who has a 0 is judged.
settings optimize_aggregation_in_order = 1, aggregation_in_order_max_block_bytes = 1000000, short_circuit_function_evaluation = 'force_enable'
