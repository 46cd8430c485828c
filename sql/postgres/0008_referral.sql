-- Launches of the app by referral, written by the sinker of launch_refer_event once they are stored.
create table referral (
    event_id uuid primary key,
    referral_code text not null,
    referrer_user_id text not null,
    user_id text not null,
    device_id text not null,
    channel text not null,
    referred_at timestamptz not null,
    created_at timestamptz not null default now()
);
create index referral_code on referral (referral_code);
create index referral_referrer on referral (referrer_user_id, referred_at);
