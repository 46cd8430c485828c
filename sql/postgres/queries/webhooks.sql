-- Webhooks: from an event to a row for each endpoint, and each row's way. See gcc/stores/webhooks.py.

-- name: subscribed
-- Who is told of these events: of one that names an endpoint, that one alone.
select event.number, endpoint.partner_id, endpoint.id
from unnest(%(partners)s::bigint[], %(types)s::text[], %(endpoints)s::uuid[]) with ordinality
    as event (partner_id, type, endpoint_id, number)
join webhook_endpoint as endpoint
    on endpoint.partner_id = event.partner_id
   and (endpoint.id = event.endpoint_id or (event.endpoint_id is null and event.type = any(endpoint.events)))
join partner on partner.id = endpoint.partner_id
where endpoint.disabled_at is null and endpoint.deleted_at is null
  and partner.disabled_at is null and partner.deleted_at is null
order by event.number, endpoint.id;

-- name: arrive
-- An event that comes again finds its rows.
insert into webhook_delivery (id, partner_id, endpoint_id, event_id, event_type, body)
select * from unnest(%(ids)s::uuid[], %(partners)s::bigint[], %(endpoints)s::uuid[], %(events)s::uuid[],
                     %(types)s::text[], %(bodies)s::bytea[])
on conflict (endpoint_id, event_id) do nothing;

-- name: lock_ready
-- Endpoints that something is due for and that have a place: first those that take what they get, then who has waited
-- longest. Locked, so that no two count the places of one at once; `claim` counts them anew, as the others left them.
with ready as materialized (
    select id from webhook_endpoint as endpoint
    where disabled_at is null and deleted_at is null
      and exists (select from webhook_delivery as due
                  where due.endpoint_id = endpoint.id and due.status = 'PENDING' and due.next_at <= now()
                    and (due.lease_until is null or due.lease_until <= now()))
      and (select count(*) from webhook_delivery as held
           where held.endpoint_id = endpoint.id and held.lease_until > now()) < {each}
    order by failing_since is not null,
             (select min(due.next_at) from webhook_delivery as due
              where due.endpoint_id = endpoint.id and due.status = 'PENDING'
                and (due.lease_until is null or due.lease_until <= now()))
    limit {room}
    for no key update skip locked
)
select id from ready;

-- name: claim
-- PENDING, due -> leased. Of an endpoint as many as have a place, the longest due first.
with picked as materialized (
    select due.id
    from unnest(%(endpoints)s::uuid[]) with ordinality as ready (id, place)
    cross join lateral (
        select delivery.id, row_number() over (order by delivery.next_at, delivery.id) as turn
        from webhook_delivery as delivery
        where delivery.endpoint_id = ready.id and delivery.status = 'PENDING' and delivery.next_at <= now()
          and (delivery.lease_until is null or delivery.lease_until <= now())
        order by delivery.next_at, delivery.id
        limit {each}
    ) as due
    where due.turn <= {each} - (select count(*) from webhook_delivery as held
                                where held.endpoint_id = ready.id and held.lease_until > now())
    order by due.turn, ready.place
    limit {room}
)
update webhook_delivery as delivery
set attempt = attempt + 1, lease_until = now() + make_interval(secs => %(lease_s)s)
from picked, webhook_endpoint as endpoint
where delivery.id = picked.id and endpoint.id = delivery.endpoint_id
returning delivery.id, delivery.endpoint_id, delivery.event_id, delivery.body, delivery.attempt, delivery.failures,
          endpoint.url, endpoint.generation, endpoint.rotated_at;

-- name: end_leases
update webhook_delivery set lease_until = null where lease_until is not null;

-- name: delivered
-- leased -> DELIVERED; the endpoint is well.
with ended as (
    update webhook_delivery
    set status = 'DELIVERED', lease_until = null, answered = %(answered)s, error = null, ended_at = now()
    where id = %(id)s and attempt = %(attempt)s and status = 'PENDING' and lease_until is not null
    returning endpoint_id
)
update webhook_endpoint as endpoint set failing_since = null
from ended where endpoint.id = ended.endpoint_id and endpoint.failing_since is not null;

-- name: failed
-- leased -> PENDING until its next try, or FAILED where `retry_s` is null. The endpoint is failing, and is disabled where it
-- is gone or has taken nothing for too long; then its owner finds that among the activities.
with ended as (
    update webhook_delivery
    set status = case when %(retry_s)s::float8 is null then 'FAILED' else 'PENDING' end,
        failures = failures + 1,
        lease_until = null,
        answered = %(answered)s,
        error = %(error)s,
        next_at = now() + make_interval(secs => coalesce(%(retry_s)s::float8, 0)),
        ended_at = case when %(retry_s)s::float8 is null then now() end
    where id = %(id)s and attempt = %(attempt)s and status = 'PENDING' and lease_until is not null
    returning endpoint_id
), failing as (
    update webhook_endpoint as endpoint
    set failing_since = coalesce(endpoint.failing_since, now()),
        disabled_at = told.disabled_at,
        disabled_because = case when told.disabled_at is not null then %(error)s end
    from (select endpoint.id,
                 case when %(gone)s or endpoint.failing_since <= now() - make_interval(secs => %(patience_s)s) then now() end
                     as disabled_at
          from ended join webhook_endpoint as endpoint on endpoint.id = ended.endpoint_id) as told
    where endpoint.id = told.id and endpoint.disabled_at is null
    returning endpoint.id, endpoint.partner_id, endpoint.disabled_at, endpoint.disabled_because
)
insert into activity_tracker (id, partner_id, activity_type, metadata)
select %(activity_id)s, partner_id, 'WEBHOOK_DISABLED', jsonb_build_object('endpoint_id', id, 'reason', disabled_because)
from failing where disabled_at is not null;
