-- Dead letters are looked at and sent again; see gcc/channels/replay.py. `created_at` is when a letter was buried.

alter table dead_letter add column replayed_by text;     -- who asked; set together with replayed_at

-- What people list, filter and replay, and what `check` counts, are those that wait.
create index dead_letter_waiting on dead_letter (created_at, id) where replayed_at is null;
create index dead_letter_waiting_queue on dead_letter (queue, created_at, id) where replayed_at is null;
drop index dead_letter_queue;

-- Where frames go: what consumers have bound, and exchange '', which leads to the queue that the key names.
create view route as
select exchange, routing_key, queue from binding
union
select '', queue, queue from binding;
