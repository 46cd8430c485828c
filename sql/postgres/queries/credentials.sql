-- name: enabled_credentials
-- Those of a source that are not dead, and how long each still rests: null if it never did, negative if that is over.
select id, handle, credentials, extract(epoch from disabled_till - now())::float8
from credential
where source = %(source)s and enabled and not data_access_expired
order by id;

-- name: rest_credential
-- A rate limit: out for so long, never shorter than it was. Fenced by the secret: a new token is not touched.
update credential
set disabled_till = greatest(disabled_till, now() + make_interval(secs => %(rest_s)s)), reason = %(reason)s, updated_at = now()
where id = %(id)s and enabled and credentials = %(secret)s;

-- name: retire_credential
-- A dead token: out until a new one arrives. Fenced by the secret.
update credential
set enabled = false, disabled_till = null, reason = %(reason)s, updated_at = now()
where id = %(id)s and enabled and credentials = %(secret)s;

-- name: put_credential
-- A row comes back only for a new or changed secret, which also enables it again.
insert into credential (id, source, handle, credentials)
values (%(id)s, %(source)s, %(handle)s, %(secret)s)
on conflict (source, handle) do update
set credentials = excluded.credentials, enabled = true, disabled_till = null, data_access_expired = false,
    reason = null, updated_at = now()
where credential.credentials is distinct from excluded.credentials
returning id;
