-- Dead letters share objects: a row says where in its object its letter stands, a line of JSON.

alter table dead_letter
    add column object_start bigint not null default 0,
    add column object_bytes bigint;              -- null: the letter is the whole object, as all were before
