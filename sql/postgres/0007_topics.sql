-- Bindings of topic exchanges: `pattern` is the key as a regular expression over the words of a routing key, each
-- followed by a dot; null where the key is meant as it stands.

alter table binding add column pattern text;

create or replace view route as
select exchange, routing_key, queue, pattern from binding
union
select '', queue, queue, null from binding;
