-- What partners use of what they may. See gcc/stores/usage.py.

-- name: count_event
-- Nothing where it is counted already. Who counts the same at this moment waits for the other.
insert into partner_usage_event (partner_id, module, period, subject, number)
values (%(partner_id)s, %(module)s, %(begins)s, %(subject)s, %(number)s)
on conflict do nothing;

-- name: open_period
insert into partner_usage (id, partner_id, module, limit_count, plan_type, valid_from, valid_to)
values (%(id)s, %(partner_id)s, %(module)s, %(limit)s, %(plan)s, %(begins)s, %(ends)s)
on conflict (partner_id, module, valid_from) do nothing;

-- name: use
-- Nothing where it would be more than the limit.
update partner_usage
set usage_count = usage_count + %(number)s, limit_count = %(limit)s, plan_type = %(plan)s, valid_to = %(ends)s
where partner_id = %(partner_id)s and module = %(module)s and valid_from = %(begins)s
  and usage_count + %(number)s <= %(limit)s
returning usage_count, told;

-- name: tell
update partner_usage set told = %(told)s
where partner_id = %(partner_id)s and module = %(module)s and valid_from = %(begins)s;

-- name: used
select module, usage_count from partner_usage
where partner_id = %(partner_id)s and valid_from = %(begins)s and deleted_at is null;

-- name: is_counted
select exists (select from partner_usage_event
               where partner_id = %(partner_id)s and module = %(module)s and period = %(begins)s and subject = %(subject)s);

-- name: track_page
insert into partner_profile_page_track as page (id, partner_id, platform, profile_id, day, access_count)
values (%(id)s, %(partner_id)s, %(platform)s, %(profile_id)s, %(day)s, 1)
on conflict (partner_id, platform, profile_id, day)
do update set access_count = page.access_count + 1, deleted_at = null
returning platform, profile_id, day, access_count;

-- name: pages
select id, platform, profile_id, day, access_count, created_at from partner_profile_page_track
where partner_id = %(partner_id)s and deleted_at is null
  and (%(before)s::timestamptz is null or (created_at, id) < (%(before)s, %(before_id)s::uuid))
order by created_at desc, id desc limit %(limit)s;
