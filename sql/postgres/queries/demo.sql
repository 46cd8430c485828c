-- A tenant to look at, of the world's creators: setting `demo`. Each statement may run again and adds nothing: ids are made
-- of what a row is about. {ours}: the creators whom the collections are of.

-- name: ours
-- The most followed ones that were crawled, of both platforms.
ours as (
    select * from (
        select 'INSTAGRAM' as platform, profile_id, handle, followers, category, language, country,
               row_number() over (order by followers desc nulls last, profile_id) as place
        from instagram_account where state = 'active'
        union all
        select 'YOUTUBE', channel_id, handle, subscribers, category, language, country,
               row_number() over (order by subscribers desc nulls last, channel_id)
        from youtube_account where state = 'active'
    ) as known
    where place <= 15
), made as (
    select md5('gcc demo profiles')::uuid as profiles, md5('gcc demo posts')::uuid as posts,
           md5('gcc demo keywords')::uuid as keywords
)

-- name: followed
-- Whose followers are looked at: some who are followed by many, and some who are not.
with creators as (
    select profile_id, handle, row_number() over (order by followers desc, profile_id) as place, count(*) over () as all_of_them
    from instagram_account where state = 'active' and followers >= 200
)
select profile_id, handle from creators
where place <= 6 or place % greatest(all_of_them / 6, 1) = 0
order by place
limit 12;

-- name: contract
-- Of the tenant of the development token.
insert into partner_contract (id, partner_id, type, plan, starts_at, ends_at)
values (md5('gcc demo contract')::uuid, 1, 'SAAS', 'PAID', now() - interval '1 day', now() + interval '1 year')
on conflict do nothing;

-- name: usage
insert into partner_usage (id, partner_id, module, usage_count, limit_count, plan_type, valid_from, valid_to)
select md5('gcc demo usage ' || module)::uuid, 1, module, used, most, 'PAID',
       date_trunc('month', now()), date_trunc('month', now()) + interval '1 month'
from (values ('PROFILE_VIEW', 120, 25000), ('SEARCH', 40, 5000), ('EXPORT', 2, 100000)) as modules (module, used, most)
on conflict do nothing;

-- name: profile_collection
insert into profile_collection (id, partner_id, name, source)
values (md5('gcc demo profiles')::uuid, 1, 'Demo: creators', 'SAAS')
on conflict do nothing;

-- name: profile_collection_item
with {ours}
insert into profile_collection_item (id, partner_id, collection_id, platform, platform_profile_id)
select md5('gcc demo item ' || platform || profile_id)::uuid, 1, made.profiles, platform, profile_id from ours, made
on conflict do nothing;

-- name: post_collection
insert into post_collection (id, partner_id, name, source, ingestion_frequency)
values (md5('gcc demo posts')::uuid, 1, 'Demo: campaign', 'GCC_CAMPAIGN', 'DAILY')
on conflict do nothing;

-- name: post_collection_item
-- The latest three of each.
with {ours}, latest as (
    select platform, profile_id, shortcode, row_number() over (partition by platform, profile_id order by publish_time desc, shortcode) as place
    from (
        select 'INSTAGRAM' as platform, profile_id, shortcode, publish_time from instagram_post
        where profile_id in (select profile_id from ours where platform = 'INSTAGRAM') and publish_time is not null
        union all
        select 'YOUTUBE', channel_id, video_id, publish_time from youtube_post
        where channel_id in (select profile_id from ours where platform = 'YOUTUBE') and publish_time is not null
    ) as posts
)
insert into post_collection_item (id, partner_id, collection_id, platform, post_shortcode, platform_profile_id)
select md5('gcc demo post ' || platform || shortcode)::uuid, 1, made.posts, platform, shortcode, profile_id
from latest, made
where place <= 3
on conflict do nothing;

-- name: keyword_collection
-- What the posts of these creators are tagged with most.
with {ours}
insert into keyword_collection (id, partner_id, name, keywords, platforms, from_date, to_date)
select made.keywords, 1, 'Demo: keywords', coalesce(
           (select array_agg(tag order by times desc, tag)
            from (select tag, count(*) as times
                  from instagram_post as post, unnest(post.hashtags) as tag
                  where post.profile_id in (select profile_id from ours where platform = 'INSTAGRAM') and length(tag) between 2 and 50
                  group by tag order by times desc, tag limit 5) as most),
           array['beauty', 'fitness']
       ), array['INSTAGRAM', 'YOUTUBE'], current_date - 30, current_date
from made
on conflict do nothing;

-- name: campaign_profiles
-- A price agreed with each, in rupees: 200 to 400 a thousand followers' twentieth.
with {ours}
insert into campaign_profiles (id, partner_id, platform, profile_id, handle, price, currency, tags, status)
select md5('gcc demo campaign ' || platform || profile_id)::uuid, 1, platform, profile_id, handle,
       round((coalesce(followers, 10000) * (200 + 200 * (place % 5) / 4.0) / 20000)::numeric, -2), 'INR', array['demo'], 'AGREED'
from ours
on conflict do nothing;

-- name: collection_group
insert into collection_group (id, partner_id, name, collection_ids)
values (md5('gcc demo group')::uuid, 1, 'Demo: all',
        jsonb_build_array(md5('gcc demo profiles')::uuid, md5('gcc demo posts')::uuid))
on conflict do nothing;

-- name: partner_profile_page_track
with {ours}
insert into partner_profile_page_track (id, partner_id, platform, profile_id, day, access_count)
select md5('gcc demo page ' || platform || profile_id || day)::uuid, 1, platform, profile_id, day::date, 1 + (place + extract(day from day)::int) % 4
from ours, generate_series(current_date - 6, current_date, interval '1 day') as day
where place <= 5
on conflict do nothing;

-- name: social_link
-- Those of the other platform who are called alike; if nobody is, the two who are followed most.
with {ours}, pairs as (
    select insta.profile_id as here, tube.profile_id as there, insta.place,
           coalesce(lower(insta.handle) = lower(ltrim(tube.handle, '@')), false) as alike
    from ours as insta, ours as tube
    where insta.platform = 'INSTAGRAM' and tube.platform = 'YOUTUBE'
)
insert into social_link (id, partner_id, platform, profile_id, linked_platform, linked_profile_id)
select md5('gcc demo link ' || here || there)::uuid, 1, 'INSTAGRAM', here, 'YOUTUBE', there
from (select here, there from pairs where alike union all
      (select here, there from pairs order by alike desc, place limit 1)) as chosen
order by here, there
limit 4
on conflict do nothing;

-- name: activity_tracker
insert into activity_tracker (id, partner_id, activity_type)
select md5('gcc demo activity ' || activity)::uuid, 1, activity
from unnest(array['COLLECTION_CREATED', 'ITEMS_ADDED', 'GROUP_CREATED']) as activity
on conflict do nothing;

-- name: curated_account
-- As the platforms tell: nothing that is made up changes what marts say of them.
with {ours}
insert into curated_account (platform, profile_id, category, language, country, curated_by)
select platform, profile_id, category, language, country, 'demo' from ours where place <= 5
on conflict do nothing;

-- name: collection_analytics
insert into collection_analytics (id, partner_id, collection_type, collection_id, day)
values (md5('gcc demo report')::uuid, 1, 'POST', md5('gcc demo posts')::uuid, current_date)
on conflict do nothing;

-- name: liked
-- Of the posts in its list, the one that is liked most.
select post.platform, post.profile_id, account.handle, post.shortcode, post.likes
from (
    select 'INSTAGRAM' as platform, profile_id, shortcode, likes from instagram_post
    union all
    select 'YOUTUBE', channel_id, video_id, likes from youtube_post
) as post
join post_collection_item as item
    on item.platform = post.platform and item.post_shortcode = post.shortcode and item.collection_id = md5('gcc demo posts')::uuid
left join (
    select 'INSTAGRAM' as platform, profile_id, handle from instagram_account
    union all
    select 'YOUTUBE', channel_id, handle from youtube_account
) as account on account.platform = post.platform and account.profile_id = post.profile_id
where post.likes > 0
order by post.likes desc, post.shortcode
limit 1;
