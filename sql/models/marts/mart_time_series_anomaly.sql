-- description: Days of the last 120 on which a profile's followers grew or fell unlike itself (2.16): gain is that of a day since the value
--   before, three days ago or less, and above .5 % of it; z is its distance from the median of the gains of the 28 days before, ten
--   or more, by their spread. SPIKE and DROP beyond 6; SPIKE_LOST where 40 % of a spike had gone within 14 days.
--   A 0 between neighbours of 100 is no value (2.3).
-- materialized: table
-- tags: daily
-- values: kind = SPIKE, SPIKE_LOST, DROP
-- unique_key: platform, profile_id, date
with series as (
    select
        platform,
        profile_id,
        arrayFilter(day -> day > {{ local_today() }} - {{ var('anomaly_days') }}, told.dates) as dates,
        arrayFilter((level, day) -> day > {{ local_today() }} - {{ var('anomaly_days') }}, told.levels, told.dates) as levels
    from (
        {{ follower_series(var('anomaly_days')) }}
    ) as told
    where length(told.dates) > {{ var('anomaly_known_days') }}
),
-- Place i of each list is of the gain from the value before to that of dates[i].
gains as (
    select
        platform,
        profile_id,
        arrayPopFront(series.dates) as dates,
        arrayPopFront(series.levels) as levels,
        arrayPopBack(series.levels) as levels_before,
        arrayMap((day, before) -> toInt64(day - before), arrayPopFront(series.dates), arrayPopBack(series.dates)) as gaps,
        arrayMap((level, before, gap) -> (level - before) / gap, levels, levels_before, gaps) as gains_per_day
    from series
),
large as (
    select
        *,
        arrayJoin(arrayFilter(
            (i, gain, before, gap) -> gap <= {{ var('anomaly_gap_days') }} and abs(gain) > {{ var('anomaly_share') }} * before,
            arrayEnumerate(dates), gains_per_day, levels_before, gaps
        )) as place
    from gains
),
candidates as (
    select
        platform,
        profile_id,
        dates[place] as date,
        levels[place] as value,
        levels_before[place] as value_before,
        gains_per_day[place] as gain_per_day,
        arrayFilter((gain, day) -> day >= dates[place] - {{ var('anomaly_baseline_days') }} and day < dates[place], gains_per_day, dates) as usual_gains,
        arrayFilter((level, day) -> day > dates[place] and day <= dates[place] + {{ var('anomaly_lost_days') }}, levels, dates) as levels_after
    from large
),
centred as (
    select *, arrayReduce('quantileExactInclusive(0.5)', usual_gains) as median_gain
    from candidates
    where length(usual_gains) >= {{ var('anomaly_known_days') }}
),
measured as (
    select
        *,
        .6745 * (gain_per_day - median_gain) / greatest(
            arrayReduce('quantileExactInclusive(0.5)', arrayMap(gain -> abs(gain - median_gain), usual_gains)),
            {{ var('anomaly_spread_share') }} * value_before,
            {{ var('anomaly_spread_min') }},
            if(platform = 'YOUTUBE', {{ youtube_step('value_before') }}, 0)
        ) as z
    from centred
)
select
    platform,
    profile_id,
    date,
    multiIf(
        z < 0, 'DROP',
        notEmpty(levels_after) and arrayMin(levels_after) <= value - {{ var('anomaly_lost_share') }} * (value - value_before), 'SPIKE_LOST',
        'SPIKE'
    ) as kind,
    gain_per_day,
    z,
    value_before as followers_before,
    value as followers
from measured
where abs(z) > {{ var('anomaly_z') }}
-- Days lie in the order of profiles, one of which is held at a time; and only who has a 0 is judged.
settings optimize_aggregation_in_order = 1, aggregation_in_order_max_block_bytes = 1000000, short_circuit_function_evaluation = 'force_enable'
