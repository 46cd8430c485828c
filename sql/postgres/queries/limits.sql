-- Limits per day (see gcc/stores/days.py).

-- name: reserve
-- As many of the wanted units as are left of the day. A day that has begun is counted on, also if the clock was set back.
insert into limit_day as kept (name, day, reserved, granted)
select %(name)s, day, least(%(wanted)s, %(calls)s), least(%(wanted)s, %(calls)s)
from (select (now() at time zone %(zone)s)::date as day) today
on conflict (name) do update
set day = greatest(kept.day, excluded.day),
    reserved = case when kept.day < excluded.day then excluded.reserved
        else kept.reserved + least(%(wanted)s, greatest(%(calls)s - kept.reserved, 0)) end,
    granted = case when kept.day < excluded.day then excluded.granted
        else least(%(wanted)s, greatest(%(calls)s - kept.reserved, 0)) end
returning granted, reserved,
    extract(epoch from now() - day::timestamp at time zone %(zone)s)::float8,
    extract(epoch from (day + 1)::timestamp at time zone %(zone)s - now())::float8;
