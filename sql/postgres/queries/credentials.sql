-- name: standing_credentials
-- Those of a source, and for how long each is out: 0 or less if it is not, infinite until a new token comes.
select id, handle, credentials, reason,
       case when enabled and not data_access_expired then coalesce(extract(epoch from disabled_till) - extract(epoch from now()), 0)::float8
            else 'infinity' end
from credential
where source = %(source)s
order by id;

-- name: listed_credentials
-- What people may know of all of them: never the secret. Of each source those that are out come first, LISTED_MAX at most.
select source, handle, out_s, reason, updated_at, total, ready
from (
    select source, handle, out_s, reason, updated_at,
           count(*) over of_source as total, count(*) filter (where out_s <= 0) over of_source as ready,
           row_number() over (partition by source order by out_s desc, handle) as place
    from (
        select source, handle, reason, updated_at,
               case when jsonb_typeof(credentials) = 'object' and enabled and not data_access_expired
                    then greatest(coalesce(extract(epoch from disabled_till) - extract(epoch from now()), 0), 0)::float8
                    else 'infinity' end as out_s
        from credential
    ) as standing
    window of_source as (partition by source)
) as placed
where place <= %(listed_max)s
order by source, place;

-- name: rest_credential
-- Out for so long, never shorter than it was; answers whether it was in. Fenced by the secret: a new token is not touched.
with before as materialized (
    select id, coalesce(disabled_till <= now(), true) as was_in from credential
    where id = %(id)s and enabled and credentials = %(secret)s
    for update
)
update credential
set disabled_till = greatest(disabled_till, now() + make_interval(secs => %(rest_s)s)), reason = %(reason)s, updated_at = now()
from before
where credential.id = before.id
returning was_in;

-- name: retire_credential
-- A dead token: out until a new one arrives; answers whether it was in. Fenced by the secret.
with before as materialized (
    select id, coalesce(disabled_till <= now(), true) as was_in from credential
    where id = %(id)s and enabled and credentials = %(secret)s
    for update
)
update credential
set enabled = false, disabled_till = null, reason = %(reason)s, updated_at = now()
from before
where credential.id = before.id
returning was_in;

-- name: put_credential
-- A row comes back only for a new or changed secret, which also enables it again.
insert into credential (id, source, handle, credentials)
values (%(id)s, %(source)s, %(handle)s, %(secret)s)
on conflict (source, handle) do update
set credentials = excluded.credentials, enabled = true, disabled_till = null, data_access_expired = false,
    reason = null, updated_at = now()
where credential.credentials is distinct from excluded.credentials
returning id;
