-- How often a job's lease ended without a word. Claims say nothing of it: each deferral is one more claim.
alter table scrape_request_log add column lost smallint not null default 0;
