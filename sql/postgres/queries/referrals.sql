-- Who came by whose referral.

-- name: add_referrals
insert into referral (event_id, referral_code, referrer_user_id, user_id, device_id, channel, referred_at)
select * from unnest(%(event_id)s::uuid[], %(referral_code)s::text[], %(referrer_user_id)s::text[], %(user_id)s::text[],
                     %(device_id)s::text[], %(channel)s::text[], %(referred_at)s::timestamptz[])
on conflict (event_id) do nothing;
