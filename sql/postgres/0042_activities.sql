-- Who did it, to what, and in which request, beside what it was.

alter table activity_tracker
    add column key_id uuid,                      -- an API key, where it was no user
    add column thing_id text check (length(thing_id) <= 300),
    add column request_id uuid;
