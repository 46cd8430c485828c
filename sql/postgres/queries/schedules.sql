-- name: begin_run
-- No row is written once the leader's term is over. Asked again after a lost answer it finds its own row, if nobody
-- has closed that meanwhile.
insert into schedule_run (id, schedule, started_at, status)
select %(id)s, %(schedule)s, %(started_at)s, 'RUNNING'
where exists (select from leader where name = %(leader)s and term = %(term)s and until > now())
on conflict (id) do update set started_at = excluded.started_at where schedule_run.status = 'RUNNING';

-- name: end_run
update schedule_run set status = %(status)s, ended_at = %(ended_at)s, detail = %(detail)s
where id = %(id)s and status = 'RUNNING';

-- name: close_stale
-- A new leader runs nothing yet: what still says RUNNING belonged to a leader that died.
update schedule_run
set status = 'CANCELLED', ended_at = %(ended_at)s, detail = '{"error": "its leader went away"}'
where status = 'RUNNING'
  and exists (select from leader where name = %(leader)s and term = %(term)s and until > now());

-- name: last_runs
-- The newest run of each schedule.
select distinct on (schedule) id, schedule, status, started_at, ended_at, detail
from schedule_run
order by schedule, started_at desc, id;

-- name: past_runs
-- The newest runs of one schedule, the newest first.
select id, schedule, status, started_at, ended_at, detail
from schedule_run
where schedule = %(schedule)s
order by started_at desc, id desc
limit %(limit)s;

-- name: last_successes
select schedule, max(started_at) from schedule_run where status = 'COMPLETE' group by schedule;
