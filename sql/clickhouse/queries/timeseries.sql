-- name: series
-- The last known value of each local day, week (from Monday) or month, and the newest event behind it.
-- argMax over (time, id) is the same whether or not a snapshot was stored twice. `first` and `end` are
-- local midnights in UTC, so that the sort key serves the range; `end` is excluded.
select toString(multiIf({granularity:String} = 'month', toStartOfMonth(day),
                        {granularity:String} = 'week', toMonday(day), day)) as bucket,
       argMax(known, (event_timestamp, event_id)) as value,
       toUnixTimestamp64Micro(max(event_timestamp)) as newest_us
from (
    select toDate(event_timestamp, {zone:String}) as day, {column:Identifier} as known, event_timestamp, event_id
    from _e.profile_log_events
    where platform = {platform:String} and profile_id = {profile_id:String}
      and event_timestamp >= {first:DateTime64(6, 'UTC')} and event_timestamp < {end:DateTime64(6, 'UTC')}
      and isNotNull(known)
)
group by bucket
order by bucket;
