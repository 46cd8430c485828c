-- name: columns
select name from system.columns where database = 'dbt' and table = {mart:String};

-- name: after
-- {{mart}} and {{limit}} are of a fixed list. Changes after the last one that was announced, in their order.
select * from dbt.{mart} final
where (built_at, seq) > (toDateTime64({{at:String}}, 6, 'UTC'), {{seq:Int64}})
order by built_at, seq
limit {limit} with ties;
