-- Which events were counted when they were committed, so that `check` may count them: all of a frame's or a letter's
-- (null), or so many. What another producer sent was not; replayed from the dead letters it comes by our outbox.

alter table outbox add column counted integer;
alter table queue_message add column counted integer;
alter table dead_letter add column counted integer;
