-- name: standing_credentials
-- Those of a source, and for how long each is out: 0 or less if it is not, infinite until a new token comes.
select id, handle, credentials, kind, app, account, scopes, expires_at, data_access_expires_at, version,
       case when enabled and coalesce(expires_at <= now(), false) then 'its token has expired'
            when enabled and coalesce(data_access_expires_at <= now(), false) then 'its owner''s consent to data access has expired'
            else reason end,
       case when enabled and not data_access_expired and coalesce(expires_at > now(), true) and coalesce(data_access_expires_at > now(), true)
            then coalesce(extract(epoch from disabled_till) - extract(epoch from now()), 0)::float8
            else 'infinity' end
from credential
where source = %(source)s
order by id;

-- name: standing_rests
-- The rests of a source's buckets, apps and of all of it that are not over.
select scope, key, bucket, (extract(epoch from till) - extract(epoch from now()))::float8, reason
from credential_rest
where source = %(source)s and till > now();

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
-- Out for so long, never shorter than it was; answers whether it was in. Fenced by the version: a new token is not touched.
with before as materialized (
    select id, coalesce(disabled_till <= now(), true) as was_in from credential
    where id = %(id)s and enabled and version = %(version)s
    for update
)
update credential
set disabled_till = greatest(disabled_till, now() + make_interval(secs => %(rest_s)s)), reason = %(reason)s, updated_at = now()
from before
where credential.id = before.id
returning was_in;

-- name: retire_credential
-- A dead token: out until a new one arrives; answers whether it was in. Fenced by the version.
with before as materialized (
    select id, coalesce(disabled_till <= now(), true) as was_in from credential
    where id = %(id)s and enabled and version = %(version)s
    for update
)
update credential
set enabled = false, disabled_till = null, reason = %(reason)s, updated_at = now()
from before
where credential.id = before.id
returning was_in;

-- name: rest_widely
-- A bucket of a credential (fenced as that is), an app or a source rests: never shorter than it did; answers whether it was in.
with before as (
    select till from credential_rest
    where source = %(source)s and scope = %(scope)s and key = %(key)s and bucket = %(bucket)s
)
insert into credential_rest as rest (source, scope, key, bucket, till, reason)
select %(source)s, %(scope)s, %(key)s, %(bucket)s, now() + make_interval(secs => %(rest_s)s), %(reason)s
where %(scope)s <> 'bucket' or exists (select from credential where id = %(id)s and version = %(version)s)
on conflict (source, scope, key, bucket) do update
set till = greatest(rest.till, excluded.till), reason = excluded.reason, updated_at = now()
returning coalesce((select till <= now() from before), true);

-- name: put_credential
-- A row comes back only for a new or changed secret, which also enables it again.
insert into credential (id, source, handle, credentials, kind, app, account, scopes, expires_at, data_access_expires_at)
values (%(id)s, %(source)s, %(handle)s, %(secret)s, %(kind)s, %(app)s, %(account)s, %(scopes)s, %(expires_at)s, %(data_access_expires_at)s)
on conflict (source, handle) do update
set credentials = excluded.credentials, kind = excluded.kind, app = excluded.app, account = excluded.account,
    scopes = excluded.scopes, expires_at = excluded.expires_at, data_access_expires_at = excluded.data_access_expires_at,
    version = credential.version + 1, issued_at = now(),
    enabled = true, disabled_till = null, data_access_expired = false, reason = null, updated_at = now()
where credential.credentials is distinct from excluded.credentials
returning id;
