-- What each process holds of the queues of a broker that does not tell; see gcc/pipelines/events/stillness.py.
-- Written every second by all who consume, true only while they live: not worth a write-ahead log.

create unlogged table queue_holding (
    process uuid primary key,                    -- one life of one
    beat bigint not null,                        -- grows with each time that it tells
    at timestamptz not null,
    queues text[] not null,
    consumers integer[] not null,                -- of each queue: how many of the broker's consumers are this process's
    messages bigint[] not null,                  -- ... how many messages it has, unacknowledged
    received bigint[] not null                   -- ... and has ever been given: it only grows
);
