-- A tenant's webhook endpoints, as their owner sees and changes them. See gcc/stores/webhook_endpoints.py.

-- name: turn
-- One at a time adds an endpoint, so that two find the last place not both free.
select id from partner where id = %(partner_id)s for no key update;

-- name: count
select count(*) from webhook_endpoint where partner_id = %(partner_id)s and deleted_at is null;

-- name: columns
-- What {columns} stands for.
id, url, events, generation, rotated_at, failing_since, disabled_at, disabled_because, created_at, updated_at;

-- name: add
insert into webhook_endpoint (id, partner_id, url, events)
values (%(id)s, %(partner_id)s, %(url)s, %(events)s)
returning {columns};

-- name: all
select {columns} from webhook_endpoint where partner_id = %(partner_id)s and deleted_at is null
order by created_at desc, id desc;

-- name: one
select {columns} from webhook_endpoint where partner_id = %(partner_id)s and id = %(id)s and deleted_at is null;

-- name: change
-- What is null stays. Enabled again, an endpoint is as good as new.
update webhook_endpoint
set url = coalesce(%(url)s, url),
    events = coalesce(%(events)s::text[], events),
    failing_since = case when %(disabled)s then failing_since when not %(disabled)s then null else failing_since end,
    disabled_at = case when %(disabled)s then coalesce(disabled_at, now()) when not %(disabled)s then null else disabled_at end,
    disabled_because = case when %(disabled)s then coalesce(disabled_because, 'its owner disabled it')
                            when not %(disabled)s then null else disabled_because end
where partner_id = %(partner_id)s and id = %(id)s and deleted_at is null
returning {columns};

-- name: rotate
update webhook_endpoint set generation = generation + 1, rotated_at = now()
where partner_id = %(partner_id)s and id = %(id)s and deleted_at is null
returning {columns};

-- name: delete
update webhook_endpoint set deleted_at = now()
where partner_id = %(partner_id)s and id = %(id)s and deleted_at is null
returning id;

-- name: deliveries
select id, event_id, event_type as type, status, attempt as attempts, failures, answered, error,
       case when status = 'PENDING' then next_at end as next_at, ended_at, created_at
from webhook_delivery
where partner_id = %(partner_id)s and endpoint_id = %(id)s
  and (%(before)s::timestamptz is null or (created_at, id) < (%(before)s, %(before_id)s::uuid))
order by created_at desc, id desc
limit %(limit)s;

-- name: replay
-- Due at once, with their event's id and all tries before them; what is under way at the moment is left alone. The first
-- {replay_max} by the time at which they came.
with picked as materialized (
    select id from webhook_delivery
    where partner_id = %(partner_id)s and endpoint_id = %(endpoint_id)s
      and (id = any(%(ids)s::uuid[]) or created_at >= %(since)s::timestamptz)
      and (lease_until is null or lease_until <= now())
    order by created_at, id
    limit {replay_max}
    for update skip locked
), again as (
    update webhook_delivery as delivery
    set status = 'PENDING', failures = 0, next_at = now(), lease_until = null, ended_at = null, error = null, answered = null
    from picked where delivery.partner_id = %(partner_id)s and delivery.id = picked.id
    returning delivery.created_at
)
select count(*) as replayed, max(created_at) as until from again;
