-- Which servers and sources a process misses; of a release before, which does not tell, none.
alter table process add column away text[] not null default '{}';
