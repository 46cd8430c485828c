-- Jobs of the API: what takes longer than a request (exports, imports), for a partner, batch by batch. See docs/api-jobs.md.

create table api_job (
    id uuid primary key,
    partner_id bigint not null references partner,
    account_id uuid,                             -- whose it is; null: of who has none (an API key, the development token)
    user_id uuid,
    role text not null check (role in ('VIEWER', 'EDITOR', 'OWNER')), -- of who asked, and the plan, at that moment
    plan text not null check (plan in ('FREE', 'SAAS', 'PAID')),
    kind text not null,
    params jsonb not null,
    state text not null default 'PENDING'
        check (state in ('PENDING', 'RUNNING', 'COMPLETE', 'FAILED', 'CANCELLED', 'EXPIRED')),
    place jsonb,                                 -- where the next batch begins; null: at the beginning
    batches integer not null default 0,          -- that were committed
    made boolean not null default false,         -- there is no further batch: what is left is the file
    done integer not null default 0 check (done >= 0),
    total integer,                               -- null: not known yet
    failed integer not null default 0 check (failed >= 0),
    attempt integer not null default 0,          -- claims; the fence of every write; never resets
    failures integer not null default 0,         -- since the last batch that was committed
    lost integer not null default 0,             -- workers, likewise
    lease_until timestamptz,
    due_at timestamptz not null default now(),   -- not claimed before
    result jsonb,                                -- what came of it; of a failed one {code, reason}
    traceback text,                              -- of a bug, for operators
    object_key text,                             -- of its file
    started_at timestamptz,
    claimed_at timestamptz,                      -- last
    ended_at timestamptz,
    freed_at timestamptz,                        -- from then on its file and its report are gone
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (partner_id, id),
    foreign key (partner_id, account_id) references account (partner_id, id),
    constraint lease_while_running check ((state = 'RUNNING') = (lease_until is not null)),
    constraint ended_when_final check ((state in ('COMPLETE', 'FAILED', 'CANCELLED', 'EXPIRED')) = (ended_at is not null)),
    constraint a_file_when_complete check (object_key is null or state in ('COMPLETE', 'EXPIRED')),
    constraint freed_when_expired check (state <> 'EXPIRED' or freed_at is not null)
);
create index api_job_listed on api_job (partner_id, created_at desc, id desc);
create index api_job_waiting on api_job (partner_id, created_at, id) where state = 'PENDING';
create index api_job_running on api_job (partner_id, lease_until) where state = 'RUNNING';
create index api_job_claimed on api_job (partner_id, claimed_at desc) where claimed_at is not null;
create index api_job_kept on api_job (ended_at) where ended_at is not null and freed_at is null;
create index api_job_ended on api_job (ended_at) where freed_at is not null;
create trigger api_job_touched before update on api_job for each row execute function grow_updated_at();

-- What a batch left: rows of the file, which is made of them at the end, and lines of the report, which they are.
create table api_job_part (
    partner_id bigint not null,
    job_id uuid not null,
    stream text not null check (stream in ('rows', 'report')),
    batch integer not null,
    lines bytea not null,                        -- a JSON array each
    primary key (partner_id, job_id, stream, batch),
    foreign key (partner_id, job_id) references api_job (partner_id, id) on delete cascade
);
