-- What freshness and volume checks ask.

-- name: ages
-- How long ago each model's last good build began; of '' when the first of any did, null: none has.
select model, dateDiff('second', max(started_at), now64(6, 'UTC')) as age_s
from dbt.model_run
where error = '' and not backfilled
group by model
union all
select '' as model, dateDiff('second', minOrNull(started_at), now64(6, 'UTC')) as age_s
from dbt.model_run;

-- name: event_tables
select distinct table as event_table
from system.columns
where database = '_e' and name = 'event_id' and (database, table) in (
    select database, table from system.columns where name = 'insert_timestamp'
)
order by event_table;

-- name: events_of_hour
-- What arrived in an hour, and in the same one of the days before; what was delivered twice counts once.
select
    intDiv(dateDiff('hour', toStartOfHour(insert_timestamp), {{hour:DateTime('UTC')}}), 24) as days_ago,
    uniqExact(event_id) as events
from `_e`.{table}
where insert_timestamp >= {{hour:DateTime('UTC')}} - toIntervalDay({{days:UInt16}})
    and insert_timestamp < {{hour:DateTime('UTC')}} + interval 1 hour
    and toHour(insert_timestamp) = toHour({{hour:DateTime('UTC')}})
group by days_ago;
