-- What producers asked for: see gcc/pipelines/scraping/stale.py.

-- name: room
-- Jobs of the flow that wait, and what was asked for in this period already.
select (select greatest(least(coalesce(sum(number), 0), 9e18), 0)::bigint from tally
        where counted in ('job', 'first job') and name = %(flow)s and state = 'PENDING'),
       (select count(*) from produced_job where flow = %(flow)s and period = %(period)s);

-- name: new
select asked.id from unnest(%(ids)s::text[]) as asked (id)
where not exists (
    select from produced_job known where known.flow = %(flow)s and known.period = %(period)s and known.id = asked.id
);

-- name: remember
insert into produced_job (flow, period, id)
select %(flow)s, %(period)s, unnest(%(ids)s::text[])
on conflict do nothing;

-- name: forget
-- A bounded part of what no period holds any more.
delete from produced_job where ctid = any(array(
    select ctid from produced_job where at < now() - interval '15 days' order by at limit 10000
));
