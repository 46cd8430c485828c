-- The second wall around a tenant's rows, behind the partner_id of each statement: row-level security. Who asks says whose rows
-- it wants (gcc.partner_id, Pool.tenant) and sees and writes those alone; who has not said is refused. The owner of the
-- tables, who is the platform itself, sees all as long as it has not said: replicas, syncs, chores. See docs/security.md.

create function is_platform() returns boolean language sql stable
return exists (select from pg_policy where polrelid = 'partner'::regclass and polname = 'platform'
               and pg_has_role(polroles[1], 'usage'));

create function has_said_tenant() returns boolean language sql stable
return coalesce(current_setting('gcc.partner_id', true), '') <> '';

-- Who has not said raises, but for the platform.
create function said_tenant() returns bigint language sql stable
return case when has_said_tenant() or not is_platform() then current_setting('gcc.partner_id')::bigint end;

-- The owner alone, so that for others an index over partner_id is of use.
create function let_platform_see(held regclass) returns void language plpgsql as $$
begin
    execute format('drop policy if exists platform on %s', held);
    execute format('create policy platform on %s to current_user using ((select not has_said_tenant()))', held);
end $$;

-- For each table with a partner_id. What it shows is also what may be written.
create function hold_to_tenant(held regclass, partner name default 'partner_id') returns void language plpgsql as $$
begin
    execute format('alter table %s enable row level security', held);
    execute format('alter table %s force row level security', held);
    execute format('create policy tenant on %s using (%I = (select said_tenant()))', held, partner);
    perform let_platform_see(held);
end $$;

do $$
declare
    held text;
begin
    foreach held in array array[
        'account', 'activity_tracker', 'api_job', 'api_job_part', 'api_key', 'api_session', 'app_user', 'campaign_profiles',
        'collection_analytics', 'collection_group', 'collection_hashtag', 'collection_keyword',
        'collection_post_metrics_summary', 'collection_post_metrics_ts', 'connection', 'group_metrics', 'idempotency_key',
        'invitation', 'keyword_collection', 'linked_social', 'oauth_grant', 'partner_contract',
        'partner_profile_page_track', 'partner_usage', 'post_collection', 'post_collection_item', 'profile_collection',
        'profile_collection_item', 'refresh_token', 'reset_token', 'social_link', 'webhook_delivery', 'webhook_endpoint'
    ] loop
        perform hold_to_tenant(held::regclass);
    end loop;
end $$;

-- What everybody may see, and nobody may write as a tenant.
create policy ours on social_link for select using (partner_id is null);
create policy ours on linked_social for select using (partner_id = 0);

select hold_to_tenant('partner', 'id');

-- A view asks as who asks it; before version 15 as its owner, who is held where a tenant was said.
do $$
begin
    if current_setting('server_version_num')::int >= 150000 then
        alter view collection_post_metrics set (security_invoker = true);
    end if;
end $$;

-- Before a tenant is known, an e-mail or a secret tells whose it is. These see all rows and answer with the partner alone;
-- only a role that is let in (gcc/stores/tenancy.py) may ask them. An index over lower(email) is of no use behind
-- a policy, as lower is not known to keep what it sees to itself: so the lowered e-mail is a column.
alter table app_user add column email_key text not null generated always as (lower(email)) stored;
drop index app_user_email;
create unique index app_user_email on app_user (email_key);

create function partner_of_email(email text) returns bigint language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select u.partner_id from app_user as u where u.email_key = lower(partner_of_email.email);
end;
create function partner_of_refresh_token(hash bytea) returns bigint language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select t.partner_id from refresh_token as t where t.hash = partner_of_refresh_token.hash;
end;
create function partner_of_invitation(hash bytea) returns bigint language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select t.partner_id from invitation as t where t.hash = partner_of_invitation.hash;
end;
create function partner_of_reset_token(hash bytea) returns bigint language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select t.partner_id from reset_token as t where t.hash = partner_of_reset_token.hash;
end;
create function partner_of_api_key(prefix text, hash bytea) returns bigint language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select k.partner_id from api_key as k
    where k.prefix = partner_of_api_key.prefix and k.hash = partner_of_api_key.hash;
end;
revoke all on function partner_of_email, partner_of_refresh_token, partner_of_invitation, partner_of_reset_token,
    partner_of_api_key from public;
