-- What bench.models builds from, made inside ClickHouse. Parameters: {profiles:UInt32}, {now:DateTime} (UTC).

-- name: profiles
-- Who there is: 7 of 10 on Instagram, followers by a power law, in the order of ids.
create table default.bench_profile engine = MergeTree order by i as
select
    toUInt32(number) as i,
    if(number < {profiles:UInt32} * .7, 'INSTAGRAM', 'YOUTUBE') as platform,
    if(platform = 'INSTAGRAM', concat('17841', leftPad(toString(number), 12, '0')), concat('UC', leftPad(toString(number), 22, '0'))) as profile_id,
    cityHash64(number) as h,
    ['aarav', 'anika', 'bhavya', 'dev', 'esha', 'gauri', 'harsh', 'ishaan', 'kavya', 'lavanya', 'manish', 'navya', 'pranav', 'ritika', 'simran', 'tanvi'][h % 16 + 1] as first_name,
    ['banerjee', 'choudhary', 'das', 'gulati', 'iyer', 'jadhav', 'kulkarni', 'malhotra', 'nair', 'patel', 'reddy', 'saxena', 'shetty', 'thakur', 'verma', 'wadia'][intDiv(h, 16) % 16 + 1] as last_name,
    concat(first_name, '.', last_name, toString(number)) as handle,
    concat(initcap(first_name), ' ', initcap(last_name)) as full_name,
    if(
        platform = 'INSTAGRAM',
        ['Beauty, cosmetic & personal care', 'Digital creator', 'Musician/band', 'Comedian', 'Food & beverage', 'Gamer', 'Fashion', 'Travel', 'Fitness trainer', 'Education', 'Artist', 'Photographer'][intDiv(h, 256) % 12 + 1],
        ['10', '20', '22', '23', '24', '26', '27', '28', '17', '19', '1', '25'][intDiv(h, 256) % 12 + 1]
    ) as category,
    ['hi', 'en-IN', 'en', 'ta', 'te', 'mr', 'bn', 'kn'][intDiv(h, 4096) % 8 + 1] as language,
    ['IN', 'IN', 'IN', 'IN', 'IN', 'US', 'GB', 'BD'][intDiv(h, 65536) % 8 + 1] as country,
    4e7 * pow(1 + cityHash64(number, 1) % {profiles:UInt32}, -.632) as size,
    (intDiv(h, 1048576) % 1000) / 500000 - .0004 as growth_per_day,
    if(h % 3 = 0, concat('https://', first_name, last_name, '.example/', toString(number)), '') as website,
    if(
        h % 40 = 0,
        concat('More on ', if(platform = 'INSTAGRAM', 'youtube.com/channel/UC', 'instagram.com/'),
            if(platform = 'INSTAGRAM', leftPad(toString(number + toUInt32({profiles:UInt32} * .5)), 22, '0'), handle)),
        concat(category, ' from ', ['Pune', 'Mumbai', 'Delhi', 'Chennai', 'Kolkata'][h % 5 + 1], ' | dance, travel and everyday stories | mail for collaboration')
    ) as bio
from numbers({profiles:UInt32});

-- name: profile_log
-- A snapshot a profile and {step:UInt16} days, from day {first:UInt16} to before {end:UInt16}, counted back from now.
insert into `_e`.profile_log_events
    (event_id, origin, origin_id, source, platform, profile_id, handle, event_timestamp, metrics, dimensions, insert_timestamp,
    followers, following, media_count, views, avg_likes, avg_comments, avg_views, engagement_rate,
    category, language, country, full_name, profile_pic_url, told_handle, website)
settings insert_allow_materialized_columns = 1, min_insert_block_size_rows = 400000, max_partitions_per_insert_block = 400
with
    cityHash64(i, day) as chance,
    if(chance % 200000 = 0, 0, toInt64(size * exp(growth_per_day * (90 - day)) * (1 + (chance % 100) / 50000)) + if(h % 500 = 7 and day < h % 60, toInt64(size * .08), 0)) as followers_then,
    platform = 'YOUTUBE' as is_youtube,
    if(is_youtube, null, toInt64(h % 2000)) as following_then,
    toInt64(h % 3000 + intDiv(90 - day, 3)) as media_then,
    if(is_youtube, toInt64(size * 90 + size * .4 * (90 - day)), null) as views_then,
    round(size * (.01 + (h % 500) / 10000) * (1 + (chance % 60) / 1000), 2) as likes_then,
    round(likes_then / 40, 2) as comments_then,
    round(size * .3, 1) as seen_then,
    if(followers_then = 0, null, round((likes_then + comments_then) / followers_then, 6)) as rate_then,
    concat('https://scontent.example/v/', toString(h), '_n.jpg?stp=dst-jpg_s150x150&oe=', hex(intDiv(90 - day, 7) + h % 100000)) as picture
select
    generateUUIDv4(), 'bench', toString(i), if(is_youtube, 'ytapi', 'graphapi'), platform, profile_id, handle,
    toDateTime64({now:DateTime}, 6, 'UTC') - (day * 86400 + h % 40000) as at,
    concat('{"followers": ', toString(followers_then), if(is_youtube, '', concat(', "following": ', toString(following_then))),
        ', "media_count": ', toString(media_then), if(is_youtube, concat(', "views": ', toString(views_then)), ''),
        ', "avg_likes": ', toString(likes_then), ', "avg_comments": ', toString(comments_then), ', "avg_views": ', toString(seen_then),
        ', "engagement_rate": ', ifNull(toString(rate_then), 'null'), '}'),
    concat('{"handle": "', handle, '", "full_name": "', full_name, '", "bio": "', bio, '", "profile_pic_url": "', picture,
        '", "category": "', category, '", "language": "', language, '", "country": "', country, '"',
        if(website = '', '', concat(', "website": "', website, '"')), ', "is_private": false}'),
    at,
    followers_then, following_then, media_then, views_then, likes_then, comments_then, seen_then, rate_then,
    category, language, country, full_name, picture, handle, nullIf(website, '')
from (
    select *, arrayJoin(range({first:UInt16}, {end:UInt16}, {step:UInt16})) as day from default.bench_profile
);

-- name: posts
-- Twelve posts a profile, within 120 days; one in four was seen twice.
create table default.bench_post engine = MergeTree order by (i, n) as
with cityHash64(i, n, 3) as chance
select
    i, n, platform, profile_id, handle, chance,
    if(platform = 'INSTAGRAM', concat('18', leftPad(toString(i * 12 + n), 15, '0')), substring(base58Encode(unhex(hex(cityHash64(i, n, 5)))), 1, 11)) as post_id,
    if(platform = 'INSTAGRAM', concat('C', leftPad(lower(hex(i * 12 + n)), 10, '0')), post_id) as shortcode,
    toDateTime64({now:DateTime}, 6, 'UTC') - toUInt32(n * 864000 + chance % 864000 + 7200) as published_at,
    toInt64(size * (.01 + (h % 500) / 10000) * (.5 + (chance % 1000) / 700)) as likes,
    toInt64(likes / 40) as comments,
    if(chance % 10 < 6, toInt64(size * (.2 + (chance % 700) / 1000)), null) as plays,
    if(platform = 'INSTAGRAM', if(chance % 10 < 6, 'reels', ['image', 'carousel'][chance % 2 + 1]), if(chance % 3 = 0, 'short', 'video')) as post_type,
    arrayMap(
        k -> concat('#', ['ootd', 'love', 'reels', 'fashion', 'travel', 'food', 'India', 'viral', 'makeup', 'dance'][cityHash64(i, n, k) % 10 + 1],
            if(k = 0, '', toString(toUInt32(pow(1 + cityHash64(i, k) % 1000000, .6))))),
        range(chance % 6)
    ) as tags,
    concat(
        ['What a day it was', 'New one is out', 'Tell me in the comments', 'Swipe for more', 'Behind the scenes'][chance % 5 + 1],
        ' with the whole team, more of it soon and in the next one too ', toString(chance % 100000), '. ',
        if(chance % 11 = 0, concat('Thanks @', ['mynykaa', 'boat.nirvana', 'someone', 'a.friend'][chance % 4 + 1], ' '), ''),
        if(chance % 23 = 0, 'Use code SAVE10 for 10% off ', ''), if(chance % 50 = 0, '#ad ', ''), arrayStringConcat(tags, ' ')
    ) as caption
from (select *, arrayJoin(range(12)) as n from default.bench_profile);

-- name: post_log
insert into `_e`.post_log_events
    (event_id, origin, origin_id, source, platform, profile_id, handle, shortcode, post_id, publish_time, event_timestamp,
    metrics, dimensions, insert_timestamp, likes, comments, views, plays, reach, saved, shares, post_type)
settings insert_allow_materialized_columns = 1, min_insert_block_size_rows = 400000, max_partitions_per_insert_block = 400
select
    generateUUIDv4(), 'bench', toString(i), if(platform = 'YOUTUBE', 'ytapi', 'graphapi'), platform, profile_id, handle, shortcode, post_id,
    published_at, least(published_at + interval (1 + seen * 9) hour, toDateTime64({now:DateTime}, 6, 'UTC')) as at,
    concat('{"likes": ', toString(likes), ', "comments": ', toString(comments), if(plays is null, '', concat(', "', if(platform = 'YOUTUBE', 'views', 'plays'), '": ', toString(plays))), '}'),
    concat('{"post_type": "', post_type, '", "caption": "', caption, '"', if(platform = 'YOUTUBE', ', "duration_s": 95', ''),
        if(chance % 20 = 0, ', "location": {"name": "Bandra, Mumbai"}', ''), if(chance % 97 = 0, ', "paid_partnership": true', ''), '}'),
    at, likes, comments, if(platform = 'YOUTUBE', plays, null), if(platform = 'YOUTUBE', null, plays),
    if(chance % 9 = 0, likes * 12, null), null, null, post_type
from (select *, arrayJoin(if(chance % 4 = 0, [0, 1], [0])) as seen from default.bench_post);

-- name: instagram_accounts
insert into beat_replica.instagram_account
    (profile_id, id, handle, full_name, bio, followers, profile_type, is_verified, is_business, category, city, has_email, has_phone,
    profile_pic_url, keywords, state, source, scraped_at, updated_at, _version)
select
    profile_id, generateUUIDv4(), handle, full_name, bio, toInt64(size), ['CREATOR', 'BUSINESS', 'PERSONAL'][h % 3 + 1], h % 50 = 0, h % 3 = 1,
    category, if(h % 6 = 0, 'Mumbai', null), h % 4 = 0, h % 9 = 0, null, [], 'active', 'graphapi', {now:DateTime}, {now:DateTime}, 1
from default.bench_profile where platform = 'INSTAGRAM';

-- name: youtube_accounts
insert into beat_replica.youtube_account
    (channel_id, id, handle, title, description, subscribers, category, country, state, source, scraped_at, updated_at, _version)
select profile_id, generateUUIDv4(), handle, full_name, bio, toInt64(size), category, country, 'active', 'ytapi', {now:DateTime}, {now:DateTime}, 1
from default.bench_profile where platform = 'YOUTUBE';

-- name: instagram_posts
insert into beat_replica.instagram_post_simple
    (post_id, shortcode, profile_id, post_type, caption, hashtags, likes, comments, plays, publish_time, source, scraped_at, updated_at, _version)
select post_id, shortcode, profile_id, post_type, caption, tags, likes, comments, plays, published_at, 'graphapi', {now:DateTime}, {now:DateTime}, 1
from default.bench_post where platform = 'INSTAGRAM';

-- name: youtube_posts
insert into beat_replica.youtube_post_simple
    (video_id, channel_id, title, description, post_type, views, likes, comments, duration_s, tags, publish_time, source, scraped_at, updated_at, _version)
select post_id, profile_id, substring(caption, 1, 40), caption, post_type, plays, likes, comments, 95, tags, published_at, 'ytapi', {now:DateTime}, {now:DateTime}, 1
from default.bench_post where platform = 'YOUTUBE';

-- name: guesses
-- Of one profile in twenty a language model was asked.
insert into `_e`.profile_log_events (event_id, origin, origin_id, source, platform, profile_id, handle, event_timestamp, metrics, dimensions, insert_timestamp)
select
    generateUUIDv4(), 'bench', '', 'chat', platform, profile_id, handle, toDateTime64({now:DateTime}, 6, 'UTC') - 86400 as at, '{"confidence": 0.8}',
    concat('{"gender": "female", "category": "', category, '", "language": "', language, '", "country": "', country,
        '", "city": "Mumbai", "topics": ["dance", "travel", "', category, '"], "audience_gender": {"female": 0.6, "male": 0.4}, "prompt_version": "1"}'),
    at
from default.bench_profile where i % 20 = 0 and platform = 'INSTAGRAM';

-- name: followers
-- Of one creator in fifty 200 followers are known, each with a score; creators share some.
insert into `_e`.profile_relationship_log_events
    (event_id, origin, origin_id, event_timestamp, source, platform, source_profile_id, target_profile_id, relationship_type, source_dimensions, target_dimensions, insert_timestamp)
select
    generateUUIDv4(), 'bench', '', toDateTime64({now:DateTime}, 6, 'UTC') - 172800 as at, 'graphapi', platform, concat('f', toString(k)), profile_id, 'follows',
    concat('{"handle": "f', toString(k), '", "full_name": "', ['Priya Sharma', 'Rahul', 'आरव', 'Divya', 'Amit'][k % 5 + 1], '"}'),
    concat('{"handle": "', handle, '"}'), at
from (select *, arrayJoin(range(200)) * 977 + i % 5000 as k from default.bench_profile where i % 50 = 0 and platform = 'INSTAGRAM');

-- name: scores
insert into `_e`.creator_follower_score
    (event_id, origin, origin_id, event_timestamp, platform, profile_id, handle, follower_profile_id, follower_handle, follower_full_name, score, scorer_version, insert_timestamp)
select generateUUIDv4(), 'bench', '', toDateTime64({now:DateTime}, 6, 'UTC') - 86400 as at, platform, profile_id, handle, concat('f', toString(k)), concat('f', toString(k)), '', [0., 0., 0., .33, 1.][k % 5 + 1], '1', at
from (select *, arrayJoin(range(200)) * 977 + i % 5000 as k from default.bench_profile where i % 50 = 0 and platform = 'INSTAGRAM');

-- name: comments
-- Sixty below one post in a thousand.
insert into `_e`.post_activity_log_events
    (event_id, origin, origin_id, event_timestamp, source, platform, profile_id, shortcode, activity_type, actor_profile_id, publish_time, metrics, dimensions, insert_timestamp)
select
    generateUUIDv4(), 'bench', '', published_at + 3600 as at, 'graphapi', platform, profile_id, shortcode, 'comment', toString(cityHash64(k, i) % 100000), at, '{}',
    concat('{"activity_id": "', toString(cityHash64(i, n, k)), '", "text": "so good ', toString(k % 50), '"}'), at
from (select *, arrayJoin(range(60)) as k from default.bench_post where chance % 1000 = 0);

-- name: sentiments
insert into `_e`.sentiment_log_events
    (event_id, origin, origin_id, event_timestamp, source, platform, profile_id, shortcode, comment_id, comment, sentiment, score, insert_timestamp)
select generateUUIDv4(), 'bench', '', published_at + 7200 as at, 'vader', platform, profile_id, shortcode, toString(cityHash64(i, n, k)), 'so good', 'POSITIVE', .7, at
from (select *, arrayJoin(range(60)) as k from default.bench_post where chance % 1000 = 0);

-- name: insights
-- What the owners of one profile in a hundred are told.
insert into beat_replica.instagram_profile_insights (profile_id, metric, period_end, breakdown, source, scraped_at, updated_at, _version)
select profile_id, metric, toDate({now:DateTime}), if(metric = 'audience_country', map('IN', .8, 'US', .2), map('F.18-24', 300., 'M.25-34', 200.)), 'graphapi', {now:DateTime}, {now:DateTime}, 1
from (select *, arrayJoin(['audience_gender_age', 'audience_country']) as metric from default.bench_profile where i % 100 = 0 and platform = 'INSTAGRAM');

-- name: jobs
-- What came of jobs in the last three days, three changes each.
insert into `_e`.scrape_request_log_events
    (event_id, origin, origin_id, scl_id, seq, flow, platform, params, status, priority, retry_count, event_timestamp, insert_timestamp)
select
    generateUUIDv4(), 'bench', '', toString(i), seq, if(platform = 'YOUTUBE', 'refresh_yt_profiles', 'refresh_profile_by_handle'), platform,
    concat('{"handle": "', handle, '"}'), ['PENDING', 'PROCESSING', 'COMPLETE'][seq], 0, 0, toDateTime64({now:DateTime}, 6, 'UTC') - (h % 250000) + seq as at, at
from (select *, arrayJoin([1, 2, 3]) as seq from default.bench_profile);

-- name: tenants
insert into coffee_replica.partner (id, name, created_at, updated_at, _version)
select number + 1, concat('Tenant ', toString(number)), {now:DateTime}, {now:DateTime}, 1 from numbers(20);

-- name: contracts
insert into coffee_replica.partner_contract (id, partner_id, type, plan, starts_at, ends_at, created_at, updated_at, _version)
select generateUUIDv4(), number + 1, 'SAAS', 'PRO', {now:DateTime} - 8640000, {now:DateTime} + 8640000, {now:DateTime}, {now:DateTime}, 1 from numbers(20);

-- name: post_collections
insert into coffee_replica.post_collection (id, partner_id, name, source, is_shared, ingestion_frequency, show_in_report, version, created_at, updated_at, _version)
select reinterpretAsUUID(toUInt128(number + 1)), number % 20 + 1, concat('Campaign ', toString(number)), 'SAAS', false, 'DAILY', true, 1, {now:DateTime}, {now:DateTime}, 1 from numbers(200);

-- name: post_collection_items
insert into coffee_replica.post_collection_item (id, partner_id, collection_id, platform, post_shortcode, platform_profile_id, created_at, updated_at, _version)
select generateUUIDv4(), c % 20 + 1, reinterpretAsUUID(toUInt128(c + 1)), platform, shortcode, profile_id, {now:DateTime}, {now:DateTime}, 1
from (select *, arrayJoin(range(200)) as c from default.bench_post where chance % intDiv({profiles:UInt32} * 12, 200) = 0)
where (chance + c) % 4 = 0;

-- name: profile_collections
insert into coffee_replica.profile_collection (id, partner_id, name, source, is_shared, version, created_at, updated_at, _version)
select reinterpretAsUUID(toUInt128(number + 1001)), number % 20 + 1, concat('List ', toString(number)), 'SAAS', false, 1, {now:DateTime}, {now:DateTime}, 1 from numbers(200);

-- name: profile_collection_items
insert into coffee_replica.profile_collection_item (id, partner_id, collection_id, platform, platform_profile_id, created_at, updated_at, _version)
select generateUUIDv4(), c % 20 + 1, reinterpretAsUUID(toUInt128(c + 1001)), platform, profile_id, {now:DateTime}, {now:DateTime}, 1
from (select *, arrayJoin(range(200)) as c from default.bench_profile where h % intDiv({profiles:UInt32}, 200) = 0)
where (h + c) % 4 = 0;

-- name: campaign_profiles
insert into coffee_replica.campaign_profiles (id, partner_id, platform, profile_id, price, currency, tags, has_email, has_phone, created_at, updated_at, _version)
select generateUUIDv4(), i % 20 + 1, platform, profile_id, 5000 + h % 50000, 'INR', [], false, false, {now:DateTime}, {now:DateTime}, 1
from default.bench_profile where i % 250 = 0;

-- name: groups
insert into coffee_replica.collection_group (id, partner_id, name, collection_ids, created_at, updated_at, _version)
select generateUUIDv4(), number % 20 + 1, concat('Group ', toString(number)), [reinterpretAsUUID(toUInt128(number + 1)), reinterpretAsUUID(toUInt128(number + 21))], {now:DateTime}, {now:DateTime}, 1 from numbers(40);

-- name: orders
insert into `_e`.order_log_events (event_id, origin, origin_id, event_timestamp, source, platform, store, platform_order_id, metrics, dimensions, insert_timestamp)
select
    generateUUIDv4(), 'bench', '', toDateTime64({now:DateTime}, 6, 'UTC') - number * 60 as at, 'shopify', 'SHOPIFY', concat('shop', toString(number % 10)), toString(number),
    '{"total_price": 999.0, "quantity": 1}', '{"status": "paid", "currency": "INR", "discount_code": "SAVE10"}', at
from numbers(10000);

-- name: changed_profiles
-- What comes in within 15 minutes when everybody is crawled daily: one profile in 96, each with its posts.
insert into `_e`.profile_log_events (event_id, origin, origin_id, source, platform, profile_id, handle, event_timestamp, metrics, dimensions)
select
    generateUUIDv4(), 'bench', 'changes', source, platform, profile_id, handle, now64(6, 'UTC') - (cityHash64(profile_id) % 900),
    replaceRegexpOne(metrics, '"followers": [0-9]+', concat('"followers": ', toString(ifNull(followers, 0) + 17))), dimensions
from `_e`.profile_log_events
where cityHash64(profile_id) % 96 = {part:UInt8} and source != 'chat' and event_timestamp >= now() - interval 30 day
limit 1 by platform, profile_id;

-- name: changed_posts
insert into `_e`.post_log_events
    (event_id, origin, origin_id, source, platform, profile_id, handle, shortcode, post_id, publish_time, event_timestamp, metrics, dimensions)
select
    generateUUIDv4(), 'bench', 'changes', source, platform, profile_id, handle, shortcode, post_id, publish_time, now64(6, 'UTC') - (cityHash64(profile_id) % 900),
    replaceRegexpOne(metrics, '"likes": [0-9]+', concat('"likes": ', toString(ifNull(likes, 0) + 17))), dimensions
from `_e`.post_log_events
where cityHash64(profile_id) % 96 = {part:UInt8}
limit 1 by platform, profile_id, shortcode;
