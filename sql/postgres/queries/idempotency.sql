-- Calls with an Idempotency-Key. See gcc/stores/idempotency.py.

-- name: lock
-- Until the transaction ends, however it does.
select pg_try_advisory_xact_lock(%(lock)s) as is_ours;

-- name: kept
-- A statement of its own, after the lock: one that had begun before it would not see what was committed meanwhile.
select fingerprint, status, location, body from idempotency_key
where partner_id = %(partner_id)s and scope = %(scope)s and expires_at > now();

-- name: keep
insert into idempotency_key (scope, partner_id, fingerprint, status, location, body, expires_at)
values (%(scope)s, %(partner_id)s, %(fingerprint)s, %(status)s, %(location)s, %(body)s,
        now() + %(life_s)s * interval '1 second')
on conflict (scope) do update
    set fingerprint = excluded.fingerprint, status = excluded.status, location = excluded.location, body = excluded.body,
        expires_at = excluded.expires_at
    where idempotency_key.expires_at <= now()
returning scope;
