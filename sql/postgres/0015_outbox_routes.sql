-- What a relay reads of the outbox is read route by route: the rows of one that rests, or has no queue, may be a million.

create index outbox_route_id on outbox (exchange, routing_key, id);

-- The routes that the outbox has rows of, by as many looks into the index.
create view outbox_route as
with recursive found as (
    (select exchange, routing_key from outbox order by exchange, routing_key limit 1)
    union all
    select next.exchange, next.routing_key
    from found cross join lateral (
        select o.exchange, o.routing_key from outbox o
        where (o.exchange, o.routing_key) > (found.exchange, found.routing_key)
        order by o.exchange, o.routing_key
        limit 1) as next
)
select exchange, routing_key from found;
