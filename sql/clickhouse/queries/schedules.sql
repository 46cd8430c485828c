-- name: standing
select name from system.tables where database = 'dbt' and name in {names:Array(String)} order by name;

-- name: merge
-- Rows that later ones replaced go; partitions that have one part already are left alone.
optimize table dbt.{name} final settings optimize_skip_merged_partitions = 1;
