-- Creators who do not want their e-mail and phone shown: nobody sees them, in whatever plan. See docs/plans.md.
alter table curated_account add column hides_contacts boolean not null default false;
