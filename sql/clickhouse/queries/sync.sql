-- name: mart_columns
select name, type from system.columns where database = 'dbt' and table = {mart:String};

-- name: export
-- {columns} and {mart} are put in by the sync, which has read them from the databases.
select {columns} from dbt.{mart};
