-- name: find_database
-- A row when this platform's database is there.
select 1 from pg_database where datname = 'gcc'

-- name: create_database
-- Once, in a new folder.
create database gcc
