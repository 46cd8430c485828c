-- name: standing_credentials
-- Those of a source, and for how long each is out: 0 or less if it is not, infinite until a new token comes.
select id, handle, credentials, sealed, key_id, kind, app, account, scopes, expires_at, data_access_expires_at, version,
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
-- What people may know of all of them, or of one: never the secret. Of each source those that are out come first, LISTED_MAX at most.
select source, handle, kind, app, account, scopes, enabled, expires_at, data_access_expires_at, out_s, reason, rest_scope,
       buckets, uses, used_at, updated_at, total, ready
from (
    select *, count(*) over of_source as total, count(*) filter (where out_s <= 0) over of_source as ready,
           row_number() over (partition by source order by out_s desc, handle) as place
    from (
        select credential.source, handle, kind, app, account, scopes, enabled, expires_at, data_access_expires_at,
               credential.updated_at, coalesce(uses, 0) as uses, used_at, coalesce(buckets, '[]') as buckets,
               case when dead_why is not null then dead_why when wide.out_s > own_s then wide.reason else credential.reason end as reason,
               case when dead_why is null and wide.out_s > own_s then wide.scope else 'credential' end as rest_scope,
               case when dead_why is null then greatest(own_s, wide.out_s, 0) else 'infinity' end as out_s
        from credential
        left join credential_use using (id)
        cross join lateral (
            select coalesce(extract(epoch from disabled_till) - extract(epoch from now()), 0)::float8 as own_s,
                   case when sealed is null and jsonb_typeof(credentials) is distinct from 'object' and (enabled or credentials is not null)
                             then 'its credentials are no JSON object'
                        when not enabled or data_access_expired then coalesce(credential.reason, 'no reason is known')
                        when expires_at <= now() then 'its token has expired'
                        when data_access_expires_at <= now() then 'its owner''s consent to data access has expired' end as dead_why
        ) as own
        left join lateral (
            select scope, reason, (extract(epoch from till) - extract(epoch from now()))::float8 as out_s
            from credential_rest as rest
            where rest.source = credential.source and till > now() and (scope = 'source' or scope = 'app' and key = app)
            order by till desc limit 1
        ) as wide on true
        left join lateral (
            select jsonb_agg(jsonb_build_object('bucket', bucket, 'reason', reason,
                   'back_in_s', round(extract(epoch from till) - extract(epoch from now()), 1)) order by bucket) as buckets
            from credential_rest as rest
            where rest.source = credential.source and till > now() and scope = 'bucket' and key = credential.id::text
        ) as of_buckets on true
        where %(source)s::text is null or (credential.source = %(source)s and handle = %(handle)s)
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

-- name: held_secret
-- For who gives one; whether it is newer than what is given, where that tells when it was issued.
select id, credentials, sealed, key_id, given, coalesce(issued_at > %(issued_at)s::timestamptz, false)
from credential where source = %(source)s and handle = %(handle)s for update;

-- name: add_credential
insert into credential (id, source, handle, sealed, key_id, given, issued_at, kind, app, account, scopes, expires_at, data_access_expires_at)
values (%(id)s, %(source)s, %(handle)s, %(sealed)s, %(key_id)s, array[%(given)s::bytea], least(%(issued_at)s::timestamptz, now()),
        %(kind)s, %(app)s, %(account)s, %(scopes)s, %(expires_at)s, %(data_access_expires_at)s)
on conflict (source, handle) do nothing
returning id;

-- name: note_given
update credential set given = (array_append(array_remove(given, %(given)s), %(given)s))[greatest(1, cardinality(given) + 2 - %(given_max)s):]
where id = %(id)s;

-- name: replace_secret
-- With a new secret it is as new: what was known of the old one's end, rest or death says nothing of it.
update credential
set sealed = %(sealed)s, key_id = %(key_id)s, credentials = null, version = version + 1, renewing_at = null,
    issued_at = least(%(issued_at)s::timestamptz, now()),
    expires_at = null, data_access_expires_at = null, data_access_expired = false,
    enabled = true, disabled_till = null, reason = null, updated_at = now()
where id = %(id)s;

-- name: renew_secret
-- It goes on with another secret: a dead one lives again, but its rest goes on, and what a person took out stays out.
update credential
set sealed = %(sealed)s, key_id = %(key_id)s, credentials = null, version = version + 1, issued_at = now(), renewing_at = null,
    enabled = enabled or not coalesce(starts_with(reason, %(by_hand)s), false),
    reason = case when enabled or starts_with(reason, %(by_hand)s) then reason end, updated_at = now()
where id = %(id)s;

-- name: know_credential
update credential
set kind = %(kind)s, app = %(app)s, account = %(account)s, scopes = %(scopes)s, expires_at = %(expires_at)s,
    data_access_expires_at = %(data_access_expires_at)s, updated_at = now()
where id = %(id)s
  and (kind, app, account, scopes, expires_at, data_access_expires_at)
      is distinct from (%(kind)s, %(app)s, %(account)s, %(scopes)s::text[], %(expires_at)s::timestamptz, %(data_access_expires_at)s::timestamptz);

-- name: held_credential
-- The secret of one that is out for good has ended, whatever was known of its end. One whose connection was ended has none.
select id, handle, credentials, sealed, key_id, kind, app, account, scopes,
       case when enabled or expires_at is null then expires_at else least(expires_at, now()) end,
       data_access_expires_at, version, reason, 0::float8
from credential where source = %(source)s and handle = %(handle)s and (credentials is not null or sealed is not null);

-- name: revive_credential
update credential
set enabled = true, disabled_till = null, data_access_expired = false, reason = null, updated_at = now()
where id = %(id)s and version = %(version)s and (not enabled or disabled_till > now())
  and not coalesce(starts_with(reason, %(by_hand)s), false)
returning true;

-- name: note_renewing
-- Answers how many seconds ago one was asked for before, whose answer never came here. Whoever did so is left alone for a while.
with before as materialized (
    select id, extract(epoch from now() - renewing_at)::float8 as ago_s from credential
    where id = %(id)s and version = %(version)s
    for update
)
update credential set renewing_at = case when ago_s < %(alone_s)s then renewing_at else now() end
from before where credential.id = before.id
returning ago_s;

-- name: still_held
select id from credential where id = %(id)s and version = %(version)s for update;

-- name: due_renewals
-- Those whose secret ends within so many seconds of its kind, is old enough to be renewed, and was not asked for just now; and,
-- once, those that were found dead and of whose kind something else than the dead token brings a new one.
select source, handle
from credential
join unnest(%(kinds)s::text[], %(near_s)s::float8[], %(age_s)s::float8[], %(revives)s::bool[]) as rule(kind, near_s, age_s, revives)
     using (kind)
where case when enabled then expires_at < now() + make_interval(secs => near_s) and issued_at < now() - make_interval(secs => age_s)
           else revives and not coalesce(starts_with(reason, %(by_hand)s), false) and coalesce(renewing_at < updated_at, true) end
  and coalesce(renewing_at < now() - make_interval(secs => %(again_s)s), true)
order by expires_at
limit 1000;

-- name: ending
-- Those that a person has to renew: their secret, or their owner's consent, ends within so many seconds.
select source, handle, kind, least(expires_at, data_access_expires_at)
from credential
where enabled and least(case when kind = any(%(renewed)s) then null else expires_at end, data_access_expires_at)
      between now() and now() + make_interval(secs => %(near_s)s)
order by 4
limit 100;

-- name: count_uses
insert into credential_use as known (id, uses, used_at)
select id, used.uses, now() from unnest(%(ids)s::uuid[], %(uses)s::bigint[]) as used(id, uses) join credential using (id)
on conflict (id) do update set uses = known.uses + excluded.uses, used_at = excluded.used_at;

-- name: sealed_under
-- The keys that something is sealed under, null for what lies open, and how many.
select key_id, count(*) from credential where credentials is not null or sealed is not null group by key_id;

-- name: to_seal
-- A few that are not under the newest key: nobody changes them meanwhile.
select id, credentials, sealed, key_id from credential
where key_id is distinct from %(newest)s and (sealed is not null or jsonb_typeof(credentials) = 'object') and id > %(after)s
order by id limit %(limit)s
for update;

-- name: seal
update credential set sealed = %(sealed)s, key_id = %(key_id)s, credentials = null where id = %(id)s;

-- name: enable_credential
-- By hand: whatever it was out for is over, but not the want of a secret. Answers whether there is one, and whether it has any.
update credential
set enabled = has_secret, disabled_till = null, data_access_expired = false,
    reason = case when has_secret then null else reason end, updated_at = now()
from (select id as found, credentials is not null or sealed is not null as has_secret
      from credential where source = %(source)s and handle = %(handle)s for update) as held
where id = found
returning id, has_secret;

-- name: disable_credential
update credential
set enabled = false, disabled_till = null, reason = %(reason)s, updated_at = now()
where source = %(source)s and handle = %(handle)s
returning id;

-- name: end_rests
-- By hand: those of a source and of its apps, or ('key') of the buckets of one credential.
delete from credential_rest
where source = %(source)s and case when %(key)s::text is null then scope <> 'bucket' else key = %(key)s end;

-- name: unprobed
-- Those that may be used and that nobody was asked to probe for six hours, the longest first; they are asked for with that.
update credential set probed_at = now()
where id = any(array(
    select id from credential
    where enabled and source = any(%(sources)s) and coalesce(probed_at, '-infinity') < now() - interval '6 hours'
    order by probed_at nulls first, source, handle
    limit 500
))
returning source, handle;
