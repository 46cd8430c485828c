-- What partners use of what they may: each thing counts once in a period. See docs/plans.md.

alter table partner add column limits jsonb not null default '{}'; -- module -> so many a month, over contracts and plans

alter table partner_usage
    add column told smallint not null default 0; -- the highest percentage of the limit that its partner was told of

-- What was counted; nobody needs it once the period has ended. A subject is a digest: rows tell of no creator.
create table partner_usage_event (
    partner_id bigint not null references partner,
    module text not null,
    period timestamptz not null,                 -- valid_from of the row that it counts in
    subject bytea not null,
    number bigint not null check (number > 0),
    primary key (partner_id, module, period, subject)
);
create index partner_usage_event_period on partner_usage_event (period);

select hold_to_tenant('partner_usage_event');
